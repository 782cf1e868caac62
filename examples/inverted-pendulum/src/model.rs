//! The machine: masses, lengths and limits, and its linear model around "upright".
//!
//! ```text
//!              θ │ /          θ > 0 leans towards +x
//!                │/  pole: uniform rod, POLE_LENGTH, POLE_MASS
//!            ┌───o───┐
//!   F ─────► │ cart  │       CART_MASS, slides without friction
//!   ─────────┴───────┴─────────── rail, ±RAIL_HALF ──► x
//! ```
//!
//! State vector everywhere: `[x, x_dot, theta, theta_dot]` in m, m/s, rad, rad/s. Force in newtons.
//!
//! The upright pole is unstable: left alone, a lean grows by a factor e every 0.17 s. That number is what makes a
//! late controller fail, see [`crate::lqr`].

/// Position and velocity of cart and pole: `[x, x_dot, theta, theta_dot]`.
pub type State = [f64; 4];

/// Mass of the cart in kg.
pub const CART_MASS: f64 = 1.0;
/// Mass of the pole in kg.
pub const POLE_MASS: f64 = 0.2;
/// Length of the pole in m; its centre of mass is at half of it.
pub const POLE_LENGTH: f64 = 0.5;
/// Standard gravity in m/s².
pub const GRAVITY: f64 = 9.81;
/// The cart may move this far to either side, in m.
pub const RAIL_HALF: f64 = 1.0;
/// The motor gives no more than this, in N.
pub const FORCE_LIMIT: f64 = 20.0;
/// A pole that leans further than this has fallen, in rad.
pub const FALL_ANGLE: f64 = 0.5;
/// One step of the physics and of the control loop, in s.
pub const STEP: f64 = 0.001;
/// The same in milliseconds, for counting steps.
pub const STEPS_PER_SECOND: u64 = 1000;
/// How the run starts: at rest, with a lean that nobody would call upright.
pub const START: State = [0.0, 0.0, 0.02, 0.0];

/// `s' = a s + b F` for one [`STEP`] in which the force is held.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// Effect of the state.
    pub a: [[f64; 4]; 4],
    /// Effect of the force.
    pub b: [f64; 4],
}

/// Accelerations `(x_ddot, theta_ddot)` of the frictionless cart and pole, without any approximation.
///
/// With `l` half the pole length and `J = POLE_MASS (2 l)² / 3` about the hinge:
///
/// ```text
/// (M + m) x''  + m l cosθ θ'' = F + m l sinθ θ'²
/// m l cosθ x'' + J θ''        = m g l sinθ
/// ```
pub fn accelerations(state: &State, force: f64) -> (f64, f64) {
    let (ml, j) = (POLE_MASS * POLE_LENGTH / 2.0, POLE_MASS * POLE_LENGTH * POLE_LENGTH / 3.0);
    let (sin, cos) = state[2].sin_cos();
    let total = CART_MASS + POLE_MASS;
    let push = force + ml * sin * state[3] * state[3];
    let tip = ml * GRAVITY * sin;
    let det = total * j - (ml * cos) * (ml * cos);
    ((j * push - ml * cos * tip) / det, (total * tip - ml * cos * push) / det)
}

/// The model linearised at "upright, at rest" and discretised exactly for a held force.
pub fn linear() -> Linear {
    // Continuous model. Linear in θ and F, so unit inputs of the exact equations' derivative give the columns.
    let (ml, j) = (POLE_MASS * POLE_LENGTH / 2.0, POLE_MASS * POLE_LENGTH * POLE_LENGTH / 3.0);
    let total = CART_MASS + POLE_MASS;
    let det = total * j - ml * ml;
    // One 5×5 matrix of state and (constant) force: its exponential holds both a and b.
    let mut continuous = [[0.0; 5]; 5];
    continuous[0][1] = 1.0;
    continuous[1][2] = -ml * ml * GRAVITY / det;
    continuous[1][4] = j / det;
    continuous[2][3] = 1.0;
    continuous[3][2] = total * ml * GRAVITY / det;
    continuous[3][4] = -ml / det;
    let discrete = exponential(&continuous, STEP);
    Linear {
        a: std::array::from_fn(|row| std::array::from_fn(|column| discrete[row][column])),
        b: std::array::from_fn(|row| discrete[row][4]),
    }
}

/// `exp(m · t)` by its power series; `t` is so small that twelve terms are exact in an f64.
fn exponential(m: &[[f64; 5]; 5], t: f64) -> [[f64; 5]; 5] {
    let identity: [[f64; 5]; 5] = std::array::from_fn(|r| std::array::from_fn(|c| f64::from(r == c)));
    let (mut sum, mut term) = (identity, identity);
    for n in 1..=12 {
        let scale = t / f64::from(n);
        term = std::array::from_fn(|r| {
            std::array::from_fn(|c| scale * (0..5).map(|k| term[r][k] * m[k][c]).sum::<f64>())
        });
        for r in 0..5 {
            for c in 0..5 {
                sum[r][c] += term[r][c];
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_model_agrees_with_the_exact_equations_close_to_upright() {
        let (state, force) = ([0.1, -0.02, 1e-3, 2e-3], 1e-2);
        let model = linear();
        // The exact equations, integrated finely over one step.
        let (mut exact, fine) = (state, 1000);
        for _ in 0..fine {
            let h = STEP / f64::from(fine);
            let (x_ddot, theta_ddot) = accelerations(&exact, force);
            exact[1] += h * x_ddot;
            exact[3] += h * theta_ddot;
            exact[0] += h * exact[1];
            exact[2] += h * exact[3];
        }
        for (row, exact) in exact.iter().enumerate() {
            let predicted: f64 =
                (0..4).map(|c| model.a[row][c] * state[c]).sum::<f64>() + model.b[row] * force;
            assert!((predicted - exact).abs() < 1e-7, "row {row}: {predicted} against {exact}");
        }
    }
}
