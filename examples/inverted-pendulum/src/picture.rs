//! What the camera sees: a 960 × 720 RGB picture of cart and pole, drawn in place.

use crate::model::{POLE_LENGTH, RAIL_HALF};

/// Pixels per row.
pub const WIDTH: usize = 960;
/// Rows.
pub const HEIGHT: usize = 720;
/// Bytes of one picture: 2 073 600.
pub const BYTES: usize = WIDTH * HEIGHT * 3;

const CART: [u8; 3] = [40, 90, 160];
const POLE: [u8; 3] = [220, 120, 30];
const RAIL: [u8; 3] = [20, 20, 20];
/// The rail fills the width.
const PIXELS_PER_METRE: f64 = WIDTH as f64 / (2.0 * RAIL_HALF + POLE_LENGTH);
/// Row of the hinge.
const HINGE_ROW: f64 = 0.6 * HEIGHT as f64;

/// Draws picture number `count` with the cart at `x` (m) and the pole at `theta` (rad).
///
/// `frame` is [`BYTES`] long; every byte of it is written, because a loaned slot holds whatever an earlier message left.
pub fn draw(frame: &mut [u8], count: u64, x: f64, theta: f64) {
    background(frame, count);
    let across = |from: f64, to: f64| pixels(from, WIDTH)..pixels(to, WIDTH);
    let middle = WIDTH as f64 / 2.0 + x * PIXELS_PER_METRE;
    fill(frame, across(0.0, WIDTH as f64), HINGE_ROW + 24.0, HINGE_ROW + 28.0, RAIL);
    fill(frame, across(middle - 50.0, middle + 50.0), HINGE_ROW, HINGE_ROW + 24.0, CART);
    // The pole, from the hinge to the tip, as a row of small squares.
    let (sin, cos) = theta.sin_cos();
    let tip = POLE_LENGTH * PIXELS_PER_METRE;
    for along in 0..tip as usize {
        let (column, row) = (middle + along as f64 * sin, HINGE_ROW - along as f64 * cos);
        fill(frame, across(column - 4.0, column + 4.0), row - 4.0, row + 4.0, POLE);
    }
}

/// Grey stripes that move by one row per picture, so that a picture that was not written anew shows.
fn background(frame: &mut [u8], count: u64) {
    for (row, pixels) in frame.chunks_exact_mut(WIDTH * 3).enumerate() {
        pixels.fill(128 + ((row as u64 + count) % 64) as u8);
    }
}

/// A filled rectangle; what lies outside the picture is cut off.
fn fill(frame: &mut [u8], columns: std::ops::Range<usize>, top: f64, bottom: f64, colour: [u8; 3]) {
    for row in pixels(top, HEIGHT)..pixels(bottom, HEIGHT) {
        let start = row * WIDTH * 3;
        let line = &mut frame[start + columns.start * 3..start + columns.end * 3];
        line.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&colour));
    }
}

/// A position in pixels, within `0..=size`. NaN is 0.
fn pixels(position: f64, size: usize) -> usize {
    (position as usize).min(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(count: u64, x: f64, theta: f64) -> Vec<u8> {
        let mut frame = vec![0; BYTES];
        draw(&mut frame, count, x, theta);
        frame
    }

    #[test]
    fn every_picture_differs_from_the_one_before() {
        assert_ne!(drawn(1, 0.0, 0.0), drawn(2, 0.0, 0.0));
    }

    #[test]
    fn pole_is_drawn_where_it_leans() {
        let orange_columns = |theta| {
            let frame = drawn(0, 0.0, theta);
            let orange = frame.chunks_exact(3).enumerate().filter(|(_, pixel)| **pixel == POLE);
            let columns: Vec<usize> = orange.map(|(at, _)| at % WIDTH).collect();
            columns.iter().sum::<usize>() / columns.len()
        };
        assert!(orange_columns(0.3) > WIDTH / 2 + 10);
        assert!(orange_columns(-0.3) < WIDTH / 2 - 10);
    }

    #[test]
    fn cart_that_left_the_rail_and_a_pole_that_is_not_a_number_do_no_harm() {
        drawn(0, 50.0, 2.0);
        drawn(0, -50.0, f64::NAN);
    }
}
