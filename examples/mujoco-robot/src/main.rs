//! The controller: one state in, one row of torques out, as soon as the state is there.
//!
//! ```text
//!   gain    once    the control law, kept and used where it lies in the sender's memory
//!   state   500 Hz  answered at once; not at all before the gain is there
//!   watch   100 Hz  no state for 50 ms: all torques go to zero, once
//!   torque          step that it answers │ how long that state was on its way, ns │ one torque per motor, −1 to 1
//! ```
//!
//! After the start it allocates nothing: gain and state are read in place, the torques are written in place.
//!
//! `CONTROLLER_DELAY_MS=50` makes it late on every answer, `CONTROLLER_OFF=1` makes it answer zero. The robot falls either
//! way; see `README.md`.

use std::{env, thread};

use dora_node_api::rt::{Event, In, Out, RtError, RtNode, View};
use eyre::eyre;
use mujoco_robot::{
    law::{BadState, Law, MAX_MOTORS},
    options::Options,
    watch::{Verdict, Watch},
};

/// Numbers before the torques in `torque`.
const PREFIX: usize = 2;

fn main() -> eyre::Result<()> {
    let options = Options::read(|name| env::var(name))?;
    let mut controller = Controller::new(options)?;
    controller.run()
}

struct Controller {
    node: RtNode,
    gain: In<f64>,
    state: In<f64>,
    torque: Out<f64>,
    options: Options,
    law: Option<Law<View<f64>>>,
    watch: Watch,
    /// States that held numbers which are none. The first is reported.
    broken: u64,
}

impl Controller {
    fn new(options: Options) -> eyre::Result<Self> {
        if !options.delay.is_zero() {
            println!("every answer is {} ms late, as asked", options.delay.as_millis());
        }
        if options.off {
            println!("the motors stay off, as asked");
        }
        let mut node = RtNode::init_from_env()?;
        let gain = node.input("gain")?;
        let state = node.input("state")?;
        let torque = node.output("torque", PREFIX + MAX_MOTORS)?;
        Ok(Self { node, gain, state, torque, options, law: None, watch: Watch::default(), broken: 0 })
    }

    fn run(&mut self) -> eyre::Result<()> {
        let watch = self.node.timer("watch")?;
        loop {
            match self.node.wait() {
                Event::Input(input) if input == self.state => self.answer()?,
                Event::Input(input) if input == self.gain => self.learn()?,
                Event::Tick(due) if due == watch && self.watch.tick() == Verdict::Lost => {
                    println!("no state any more: motors off");
                    self.switch_off()?;
                }
                Event::Stop(_) | Event::Closed => return Ok(()),
                _ => {}
            }
        }
    }

    /// Takes a new control law and uses it from the next state on.
    fn learn(&mut self) -> eyre::Result<()> {
        let message = self.node.read(&self.gain).map_err(|error| self.explain(error))?;
        let law = Law::new(message)?;
        println!("gain for {} motors and {} degrees of freedom", law.motors(), law.dofs());
        self.law = Some(law);
        Ok(())
    }

    fn answer(&mut self) -> eyre::Result<()> {
        let state = self.node.read(&self.state).map_err(|error| self.explain(error))?;
        self.watch.feed();
        let Some(law) = &self.law else { return Ok(()) };
        let mut torques = [0.0; PREFIX + MAX_MOTORS];
        let torques = &mut torques[..PREFIX + law.motors()];
        torques[0] = state.first().copied().unwrap_or(-1.0);
        torques[1] = state.latency_ns() as f64;
        if !self.options.off {
            match law.torques(&state, &mut torques[PREFIX..]) {
                Ok(()) => {}
                Err(error @ BadState::Length { .. }) => return Err(error.into()),
                // The torques stay zero: better limp than driven by nonsense.
                Err(error @ BadState::NotFinite) => {
                    if self.broken == 0 {
                        println!("{error}: motors off for as long");
                    }
                    self.broken += 1;
                }
            }
        }
        drop(state);
        if !self.options.delay.is_zero() {
            thread::sleep(self.options.delay);
        }
        self.send(torques)
    }

    fn switch_off(&mut self) -> eyre::Result<()> {
        let Some(law) = &self.law else { return Ok(()) };
        let mut torques = [0.0; PREFIX + MAX_MOTORS];
        torques[0] = -1.0;
        let length = PREFIX + law.motors();
        self.send(&torques[..length])
    }

    fn send(&mut self, torques: &[f64]) -> eyre::Result<()> {
        self.node.send(&self.torque, torques).map_err(|error| self.explain(error))
    }

    fn explain(&self, error: RtError) -> eyre::Report {
        eyre!(self.node.describe(error))
    }
}
