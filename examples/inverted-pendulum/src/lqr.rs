//! The controller: one row of gains, and where they come from.
//!
//! `F = -K · [x, x_dot, theta, theta_dot]`, held for one step of 1 ms. `K` minimises the sum over all steps of
//!
//! ```text
//!   (x / 0.2 m)² + (x_dot / 0.5 m/s)² + (theta / 0.1 rad)² + (theta_dot / 1 rad/s)² + (F / 1 N)²
//! ```
//!
//! on the linear model of [`crate::model::linear`]: deviations of that size are equally unwelcome (Bryson's rule).
//! [`solve`] computes it by iterating the discrete Riccati equation until nothing changes; it takes a blink, but a
//! controller should not have to, so the result is written down in [`GAINS`] and a test compares the two.
//!
//! How late may the answer be? With these gains the loop has its crossover at 15.5 rad/s and a phase margin of 64°.
//! 64° of 15.5 rad/s are 72 ms: an answer that old does not damp the swing any more, it pumps it. A controller that
//! holds each answer for `D` before it looks again acts on states between `D` and `2 D` old, 1.5 `D` on
//! average, so the limit is near `D` = 50 ms. Nothing in this example says "fall when late".

use crate::model::{FORCE_LIMIT, Linear, State};

/// What `solve(&model::linear())` gives, in N/m, N/(m/s), N/rad and N/(rad/s).
pub const GAINS: State = [-4.9607, -5.9546, -42.9382, -7.4836];

/// Weights of `x`, `x_dot`, `theta`, `theta_dot`: one over the squared deviation that is "one unit of bad".
const STATE_WEIGHTS: State = [25.0, 4.0, 100.0, 1.0];
/// The same for the force.
const FORCE_WEIGHT: f64 = 1.0;

/// The force that answers `state`, in newtons, within what the motor can do.
///
/// # Real time
/// Four multiplications.
pub fn force(state: &State) -> f64 {
    let wanted: f64 = -GAINS.iter().zip(state).map(|(gain, value)| gain * value).sum::<f64>();
    wanted.clamp(-FORCE_LIMIT, FORCE_LIMIT)
}

/// Gains of the infinite-horizon discrete LQR: iterates the Riccati equation until the gains stand still.
///
/// One iteration is `K ← (R + BᵀPB)⁻¹ BᵀPA`, then `P ← Q + KᵀRK + (A − BK)ᵀ P (A − BK)`. The shorter form of the second line
/// gives the same on paper only: `A` is unstable, and what rounding makes of `P` grows with it instead of dying out.
pub fn solve(model: &Linear) -> State {
    let Linear { a, b } = model;
    let mut p = diagonal(STATE_WEIGHTS);
    let mut gains = [0.0; 4];
    loop {
        let pb: State = std::array::from_fn(|r| (0..4).map(|k| p[r][k] * b[k]).sum());
        let s = FORCE_WEIGHT + (0..4).map(|k| b[k] * pb[k]).sum::<f64>();
        let next: State = std::array::from_fn(|c| (0..4).map(|k| pb[k] * a[k][c]).sum::<f64>() / s);
        // The closed loop A − BK, and P times it.
        let closed = square(|r, c| a[r][c] - b[r] * next[c]);
        let pushed = square(|r, c| (0..4).map(|k| p[r][k] * closed[k][c]).sum());
        let weights = diagonal(STATE_WEIGHTS);
        p = square(|r, c| {
            let propagated: f64 = (0..4).map(|k| closed[k][r] * pushed[k][c]).sum();
            weights[r][c] + next[r] * FORCE_WEIGHT * next[c] + propagated
        });
        let moved = (0..4).map(|k| (next[k] - gains[k]).abs()).fold(0.0, f64::max);
        gains = next;
        if moved < 1e-9 {
            return gains;
        }
    }
}

fn square(entry: impl Fn(usize, usize) -> f64) -> [[f64; 4]; 4] {
    std::array::from_fn(|row| std::array::from_fn(|column| entry(row, column)))
}

fn diagonal(values: State) -> [[f64; 4]; 4] {
    square(|row, column| if row == column { values[row] } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;

    #[test]
    fn written_gains_are_what_the_riccati_equation_gives() {
        let computed = solve(&model::linear());
        for (written, computed) in GAINS.iter().zip(computed) {
            assert!((written - computed).abs() < 1e-4, "write {computed:.4} instead of {written}");
        }
    }

    #[test]
    fn force_pushes_the_cart_under_a_pole_that_leans_and_stays_within_the_motor() {
        assert!(force(&[0.0, 0.0, 0.01, 0.0]) > 0.0);
        assert!(force(&[0.0, 0.0, -0.01, 0.0]) < 0.0);
        assert_eq!(force(&[0.0, 0.0, 3.0, 0.0]), FORCE_LIMIT);
    }
}
