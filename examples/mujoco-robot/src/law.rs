//! Full-state feedback: `u = u0 − K · x`, where `x` says how far all positions and velocities are from where they shall be.
//!
//! The gains come as one message of the physics node, which knows the model (`design.py`):
//!
//! ```text
//!   nv  nu │ pose, nv+1 │ u0, nu │ lowest u, nu │ highest u, nu │ K row by row, nu × 2·nv
//! ```
//!
//! A state is `step │ positions, nv+1 │ velocities, nv`. The body is free in space: its first seven positions are place
//! and quaternion, its first six velocities linear (world) and angular (its own axes). That is why there is one
//! position more than there are degrees of freedom.
//!
//! 1. A [`Law`] exists only for a message whose sizes fit and whose numbers are finite.
//! 2. It never answers with a torque outside the limits, whatever the state.

use std::ops::Deref;

/// Most degrees of freedom of a robot: the deviation lives on the stack.
pub const MAX_DOFS: usize = 64;
/// Most motors: bounds the message that goes out.
pub const MAX_MOTORS: usize = 64;
/// Degrees of freedom of a free body, and as many positions and one.
const FREE_DOFS: usize = 6;

/// Why a message holds no control law.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BadGain {
    /// The first two numbers are missing, no whole numbers, or out of range.
    #[error(
        "`gain` starts with degrees of freedom (6 to {MAX_DOFS}) and motors (1 to {MAX_MOTORS}), not {dofs} and {motors}"
    )]
    Sizes {
        /// First number.
        dofs: f64,
        /// Second number.
        motors: f64,
    },
    /// The sizes ask for another length.
    #[error("`gain` for these sizes has {expected} numbers, not {found}")]
    Length {
        /// What the sizes ask for.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// Infinite or not a number.
    #[error("number {index} of `gain` is {value}")]
    NotFinite {
        /// Position in the message.
        index: usize,
        /// The number.
        value: f64,
    },
    /// The lowest torque of a motor is above its highest.
    #[error("motor {motor} of `gain` has limits that no torque meets")]
    Limits {
        /// Which, from 0.
        motor: usize,
    },
}

/// Why a state has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadState {
    /// It belongs to another robot than the gains.
    #[error("a `state` of this robot has {expected} numbers, not {found}")]
    Length {
        /// What the gains ask for.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// Infinite or not a number: the physics, or a sensor, is broken.
    #[error("`state` has numbers that are not finite")]
    NotFinite,
}

/// Gains, and the pose that they hold. `M` is where they lie: a received message is used in place.
#[derive(Debug)]
pub struct Law<M> {
    message: M,
    dofs: usize,
    motors: usize,
}

impl<M: Deref<Target = [f64]>> Law<M> {
    /// Checks a message and keeps it.
    ///
    /// # Errors
    /// [`BadGain`] when it holds no law.
    pub fn new(message: M) -> Result<Self, BadGain> {
        let size = |at: usize| message.get(at).copied().unwrap_or(f64::NAN);
        let whole = |value: f64, range: std::ops::RangeInclusive<usize>| {
            (value.fract() == 0.0).then_some(value as usize).filter(|whole| range.contains(whole))
        };
        let sizes = (whole(size(0), FREE_DOFS..=MAX_DOFS), whole(size(1), 1..=MAX_MOTORS));
        let (Some(dofs), Some(motors)) = sizes else {
            return Err(BadGain::Sizes { dofs: size(0), motors: size(1) });
        };
        let expected = 2 + (dofs + 1) + 3 * motors + motors * 2 * dofs;
        if message.len() != expected {
            return Err(BadGain::Length { expected, found: message.len() });
        }
        if let Some(index) = message.iter().position(|value| !value.is_finite()) {
            return Err(BadGain::NotFinite { index, value: message[index] });
        }
        let law = Self { message, dofs, motors };
        let limits = law.limits();
        match limits.0.iter().zip(limits.1).position(|(low, high)| low > high) {
            Some(motor) => Err(BadGain::Limits { motor }),
            None => Ok(law),
        }
    }

    /// Number of motors.
    pub fn motors(&self) -> usize {
        self.motors
    }

    /// Degrees of freedom.
    pub fn dofs(&self) -> usize {
        self.dofs
    }

    /// Writes the torque of each motor, within its limits, into `torques`, which has room for [`motors`](Self::motors).
    ///
    /// # Errors
    /// [`BadState`]; `torques` is as it was.
    ///
    /// # Real time
    /// No allocation. Two multiplications per motor and degree of freedom: 1134 for the humanoid.
    pub fn torques(&self, state: &[f64], torques: &mut [f64]) -> Result<(), BadState> {
        let mut deviation = [0.0; 2 * MAX_DOFS];
        let deviation = &mut deviation[..2 * self.dofs];
        self.deviation(state, deviation)?;
        let (holding, gains) = (self.part(self.dofs + 3, self.motors), self.gains());
        let (low, high) = self.limits();
        for (motor, torque) in torques[..self.motors].iter_mut().enumerate() {
            let row = &gains[motor * 2 * self.dofs..][..2 * self.dofs];
            let change: f64 = row.iter().zip(&*deviation).map(|(gain, x)| gain * x).sum();
            let wanted = holding[motor] - change;
            // Finite numbers can be so large that their sum is none. Such a motor gets no torque.
            let wanted = if wanted.is_nan() { 0.0 } else { wanted };
            *torque = wanted.clamp(low[motor], high[motor]);
        }
        Ok(())
    }

    /// How far `state` is from the pose: place, rotation vector in the body's own axes, joints; then all velocities.
    fn deviation(&self, state: &[f64], deviation: &mut [f64]) -> Result<(), BadState> {
        let expected = 1 + (self.dofs + 1) + self.dofs;
        if state.len() != expected {
            return Err(BadState::Length { expected, found: state.len() });
        }
        if !state.iter().all(|value| value.is_finite()) {
            return Err(BadState::NotFinite);
        }
        let pose = self.part(2, self.dofs + 1);
        let (positions, velocities) = state[1..].split_at(self.dofs + 1);
        let (place, rest) = deviation.split_at_mut(3);
        let (turn, rest) = rest.split_at_mut(3);
        let (joints, speeds) = rest.split_at_mut(self.dofs - FREE_DOFS);
        difference(place, positions, pose);
        turn.copy_from_slice(&rotation(&pose[3..7], &positions[3..7]));
        difference(joints, &positions[7..], &pose[7..]);
        speeds.copy_from_slice(velocities);
        Ok(())
    }

    fn part(&self, from: usize, length: usize) -> &[f64] {
        &self.message[from..from + length]
    }

    fn limits(&self) -> (&[f64], &[f64]) {
        self.part(self.dofs + 3 + self.motors, 2 * self.motors).split_at(self.motors)
    }

    fn gains(&self) -> &[f64] {
        self.part(self.dofs + 3 + 3 * self.motors, self.motors * 2 * self.dofs)
    }
}

fn difference(result: &mut [f64], of: &[f64], from: &[f64]) {
    for ((result, of), from) in result.iter_mut().zip(of).zip(from) {
        *result = of - from;
    }
}

/// The rotation that leads from attitude `from` to attitude `to` (quaternions, w first), as axis times angle, in the axes of
/// `from`. The shorter way round; radians.
fn rotation(from: &[f64], to: &[f64]) -> [f64; 3] {
    let ([a, b, c, d], [e, f, g, h]) =
        ([from[0], -from[1], -from[2], -from[3]], [to[0], to[1], to[2], to[3]]);
    let w = a * e - b * f - c * g - d * h;
    let v = [a * f + b * e + c * h - d * g, a * g - b * h + c * e + d * f, a * h + b * g - c * f + d * e];
    let sine = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    if sine == 0.0 {
        return [0.0; 3];
    }
    // A quaternion and its negative are the same attitude: the sign of `w` picks the shorter way.
    let angle = 2.0 * sine.atan2(w.abs()) * w.signum();
    v.map(|x| x * angle / sine)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOFS: usize = 7;
    const MOTORS: usize = 2;

    /// A body with one joint; motor 0 answers the joint, motor 1 the turn about y and the speed of the joint.
    fn gain() -> Vec<f64> {
        let mut gains = vec![0.0; MOTORS * 2 * DOFS];
        gains[6] = 2.0;
        gains[2 * DOFS + 4] = 3.0;
        gains[2 * DOFS + 13] = 0.5;
        let pose = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.3];
        [&[DOFS as f64, MOTORS as f64], &pose[..], &[0.1, -0.1], &[-1.0, -1.0], &[1.0, 1.0], &gains].concat()
    }

    fn state(pitch: f64, joint: f64, joint_speed: f64) -> Vec<f64> {
        let half = pitch / 2.0;
        let positions = [5.0, -5.0, 1.0, half.cos(), 0.0, half.sin(), 0.0, joint];
        let velocities = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, joint_speed];
        [&[1.0], &positions[..], &velocities].concat()
    }

    fn answer(state: &[f64]) -> [f64; 2] {
        let mut torques = [0.0; 2];
        Law::new(gain()).expect("a good law").torques(state, &mut torques).expect("a good state");
        torques
    }

    #[test]
    fn robot_in_its_pose_gets_the_torques_that_hold_it() {
        assert_eq!(answer(&state(0.0, 0.3, 0.0)), [0.1, -0.1]);
    }

    #[test]
    fn each_deviation_is_answered_by_its_own_gain() {
        let torques = answer(&state(0.0, 0.4, 0.2));
        assert!((torques[0] - (0.1 - 2.0 * 0.1)).abs() < 1e-12, "{torques:?}");
        assert!((torques[1] - (-0.1 - 0.5 * 0.2)).abs() < 1e-12, "{torques:?}");
        let torques = answer(&state(0.2, 0.3, 0.0));
        assert!((torques[1] - (-0.1 - 3.0 * 0.2)).abs() < 1e-12, "{torques:?}");
    }

    #[test]
    fn torque_never_leaves_its_limits() {
        assert_eq!(answer(&state(3.0, -9.0, 0.0)), [1.0, -1.0]);
        assert_eq!(answer(&state(-3.0, 9.0, 1e300)), [-1.0, -1.0]);
        let mut absurd = state(0.0, f64::MAX, f64::MAX);
        absurd[1] = -f64::MAX;
        absurd[12] = f64::MAX;
        assert!(answer(&absurd).iter().all(|torque| (-1.0..=1.0).contains(torque)), "{:?}", answer(&absurd));
        // A place so far off that the distance is infinite, with a gain of 0 for it: the product is no number.
        let mut gain = gain();
        gain[2] = f64::MAX;
        let mut torques = [f64::NAN; 2];
        Law::new(gain).expect("a good law").torques(&absurd, &mut torques).expect("a good state");
        assert_eq!(torques, [0.0; 2]);
    }

    #[test]
    fn rotation_takes_the_shorter_way_and_is_seen_from_the_body() {
        let quaternion = |angle: f64, axis: [f64; 3]| {
            let (sin, cos) = (angle / 2.0).sin_cos();
            [cos, sin * axis[0], sin * axis[1], sin * axis[2]]
        };
        let close = |found: [f64; 3], expected: [f64; 3]| {
            assert!(found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-12), "{found:?} {expected:?}");
        };
        let upright = [1.0, 0.0, 0.0, 0.0];
        let y = [0.0, 1.0, 0.0];
        close(rotation(&upright, &upright), [0.0; 3]);
        close(rotation(&quaternion(0.5, y), &quaternion(0.8, y)), [0.0, 0.3, 0.0]);
        close(rotation(&upright, &quaternion(0.2, y).map(|x| -x)), [0.0, 0.2, 0.0]);
        // Turned by a quarter about z, the world's x is the body's −y.
        let turned = quaternion(std::f64::consts::FRAC_PI_2, [0.0, 0.0, 1.0]);
        let (s, c) = 0.1_f64.sin_cos();
        // x by 0.2 in the world, applied after `turned`: the product of the two quaternions.
        let leaning = [c * turned[0], s * turned[0], -s * turned[3], c * turned[3]];
        close(rotation(&turned, &leaning), [0.0, -0.2, 0.0]);
    }

    #[test]
    fn message_that_holds_no_law_is_refused_with_what_is_wrong() {
        let changed = |change: &dyn Fn(&mut Vec<f64>)| {
            let mut message = gain();
            change(&mut message);
            Law::new(message).expect_err("a bad law")
        };
        assert!(matches!(Law::new(Vec::new()), Err(BadGain::Sizes { .. })));
        for wrong in [0.0, -7.0, 7.5, 1e9, f64::NAN, f64::INFINITY] {
            assert!(matches!(changed(&|m| m[0] = wrong), BadGain::Sizes { .. }), "{wrong}");
            assert!(matches!(changed(&|m| m[1] = wrong), BadGain::Sizes { .. }), "{wrong}");
        }
        let short = changed(&|m| m.truncate(43));
        assert_eq!(short.to_string(), "`gain` for these sizes has 44 numbers, not 43");
        assert!(matches!(changed(&|m| m[20] = f64::INFINITY), BadGain::NotFinite { index: 20, .. }));
        let crossed = changed(&|m| m[13] = 2.0);
        assert_eq!(crossed, BadGain::Limits { motor: 1 });
    }

    #[test]
    fn state_that_cannot_be_answered_leaves_the_torques_alone() {
        let law = Law::new(gain()).expect("a good law");
        let mut torques = [7.0; 2];
        let mut broken = state(0.0, 0.3, 0.0);
        broken[4] = f64::NAN;
        assert_eq!(law.torques(&broken, &mut torques), Err(BadState::NotFinite));
        assert_eq!(law.torques(&[], &mut torques), Err(BadState::Length { expected: 16, found: 0 }));
        assert_eq!(torques, [7.0; 2]);
    }
}
