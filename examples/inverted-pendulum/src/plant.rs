//! The pendulum itself, in the physics engine rapier: a cart on a rail (prismatic joint) with a pole on it
//! (revolute joint), one step of 1 ms at a time.
//!
//! The world does not wait for its controller. Every step uses the force that was set last, however old it is, and
//! [`Plant::advance`] takes as many steps as time has passed. Small pushes against the pole, from a seeded generator and
//! therefore the same in every run, see to it that doing nothing is not enough.
//!
//! A pole that has fallen stays down: the drive switches itself off, as a real one would.

use rapier2d::prelude::*;

use crate::{
    model::{
        CART_MASS, FALL_ANGLE, FORCE_LIMIT, GRAVITY, POLE_LENGTH, POLE_MASS, RAIL_HALF, START, STEP, State,
    },
    verdict::Verdict,
};

/// The strongest push against the pole's centre of mass, in N·s: half a rad/s at once.
const PUSH_LIMIT: f64 = 0.03;
/// Pushes come at random, this many steps apart at least.
const PUSH_EVERY: u64 = 200;
/// And this many at most in addition.
const PUSH_JITTER: u64 = 600;

/// Cart, pole, and how they have done so far.
pub struct Plant {
    world: PhysicsWorld,
    cart: RigidBodyHandle,
    pole: RigidBodyHandle,
    force: f64,
    pushes: Pushes,
    verdict: Verdict,
}

impl Plant {
    /// A plant at rest in [`START`], with pushes that follow from `seed`; `None` for a world without pushes.
    pub fn new(seed: Option<u64>) -> Self {
        let mut world = PhysicsWorld::new();
        world.gravity = Vector::new(0.0, -GRAVITY as Real);
        world.integration_parameters.dt = STEP as Real;

        let rail = world.insert_body(RigidBodyBuilder::fixed());
        // A rigid body that sleeps would not fall: the engine thinks that a pole at rest has come to rest.
        let cart = world.insert_body(
            RigidBodyBuilder::dynamic()
                .translation(Vector::new(START[0] as Real, 0.0))
                .linvel(Vector::new(START[1] as Real, 0.0))
                .additional_mass_properties(rod(CART_MASS, 0.2))
                .can_sleep(false),
        );
        // The engine turns counter-clockwise; ours leans towards +x.
        let (sin, cos) = START[2].sin_cos();
        let half = POLE_LENGTH / 2.0;
        let pole = world.insert_body(
            RigidBodyBuilder::dynamic()
                .translation(Vector::new((START[0] + half * sin) as Real, (half * cos) as Real))
                .rotation(-START[2] as Real)
                .additional_mass_properties(rod(POLE_MASS, POLE_LENGTH))
                .can_sleep(false),
        );
        let slide = PrismaticJointBuilder::new(Vector::X);
        let hinge = RevoluteJointBuilder::new().local_anchor2(Vector::new(0.0, -half as Real));
        world.insert_impulse_joint(rail, cart, slide);
        world.insert_impulse_joint(cart, pole, hinge);
        Self { world, cart, pole, force: 0.0, pushes: Pushes::new(seed), verdict: Verdict::default() }
    }

    /// Sets the force on the cart, in newtons, for all steps until the next call. The motor's limit applies.
    pub fn set_force(&mut self, force: f64) {
        self.force = force.clamp(-FORCE_LIMIT, FORCE_LIMIT);
    }

    /// Lets `steps` milliseconds pass. Returns the step in which the pole fell, if it was one of these.
    pub fn advance(&mut self, steps: u64) -> Option<u64> {
        let mut fell = None;
        for _ in 0..steps {
            self.step();
            let [x, _, theta, _] = self.state();
            let down = theta.abs() > FALL_ANGLE || x.abs() > RAIL_HALF;
            if self.verdict.step(theta, down) {
                self.force = 0.0;
                fell = Some(self.verdict.steps());
            }
        }
        fell
    }

    fn step(&mut self) {
        let force = if self.verdict.fell_after().is_some() { 0.0 } else { self.force };
        let push = self.pushes.next();
        let cart = &mut self.world.bodies[self.cart];
        cart.reset_forces(true);
        cart.add_force(Vector::new(force as Real, 0.0), true);
        if push != 0.0 {
            self.world.bodies[self.pole].apply_impulse(Vector::new(push as Real, 0.0), true);
        }
        self.world.step();
    }

    /// What perfect sensors would say.
    pub fn state(&self) -> State {
        let (cart, pole) = (&self.world.bodies[self.cart], &self.world.bodies[self.pole]);
        [
            f64::from(cart.translation().x),
            f64::from(cart.linvel().x),
            -f64::from(pole.rotation().angle()),
            -f64::from(pole.angvel()),
        ]
    }

    /// How it has done so far.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

/// Mass properties of a uniform rod about its own centre.
fn rod(mass: f64, length: f64) -> MassProperties {
    MassProperties::new(Vector::ZERO, mass as Real, (mass * length * length / 12.0) as Real)
}

/// Pushes at random moments, of random size, from a seed.
struct Pushes {
    random: Option<u64>,
    wait: u64,
}

impl Pushes {
    fn new(seed: Option<u64>) -> Self {
        Self { random: seed, wait: PUSH_EVERY }
    }

    /// The push of this step in N·s, nearly always 0.
    fn next(&mut self) -> f64 {
        let Some(random) = &mut self.random else { return 0.0 };
        self.wait -= 1;
        if self.wait > 0 {
            return 0.0;
        }
        self.wait = PUSH_EVERY + split_mix(random) % PUSH_JITTER;
        // The upper 53 bits, as a number in -1..1.
        let unit = (split_mix(random) >> 11) as f64 / (1u64 << 52) as f64 - 1.0;
        unit * PUSH_LIMIT
    }
}

/// SplitMix64: a small generator that gives the same numbers everywhere.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::accelerations;

    #[test]
    fn physics_engine_agrees_with_the_equations_that_the_gains_come_from() {
        let mut plant = Plant::new(None);
        plant.set_force(1.0);
        let mut exact = START;
        for _ in 0..200 {
            plant.advance(1);
            for _ in 0..10 {
                let (x_ddot, theta_ddot) = accelerations(&exact, 1.0);
                exact[1] += STEP / 10.0 * x_ddot;
                exact[3] += STEP / 10.0 * theta_ddot;
                exact[0] += STEP / 10.0 * exact[1];
                exact[2] += STEP / 10.0 * exact[3];
            }
        }
        let engine = plant.state();
        for (engine, exact) in engine.iter().zip(exact) {
            assert!((engine - exact).abs() < 0.02 * exact.abs().max(0.05), "{engine} against {exact}");
        }
    }

    #[test]
    fn pole_without_a_controller_falls() {
        let mut plant = Plant::new(None);
        assert!(plant.advance(3000).is_some());
        assert!(plant.verdict().fell_after().is_some());
    }

    #[test]
    fn same_seed_gives_the_same_world() {
        let run = || {
            let mut plant = Plant::new(Some(3));
            plant.advance(900);
            plant.state()
        };
        assert_eq!(run(), run());
    }

    #[test]
    fn steps_taken_at_once_equal_steps_taken_one_by_one() {
        let (mut at_once, mut one_by_one) = (Plant::new(Some(7)), Plant::new(Some(7)));
        at_once.advance(50);
        for _ in 0..50 {
            one_by_one.advance(1);
        }
        assert_eq!(at_once.state(), one_by_one.state());
    }
}
