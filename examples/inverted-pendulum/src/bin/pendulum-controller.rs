//! The controller: one state in, one force out, as soon as the state is there.
//!
//! `CONTROLLER_DELAY_MS=80` (or `--delay-ms 80`) makes it sleep on every answer, as a controller does whose core was taken
//! away. The pole then falls; see `README.md` for why.

use std::{env, thread, time::Duration};

use dora_node_api::rt::{Event, RtNode};
use eyre::{OptionExt, WrapErr, bail};
use inverted_pendulum::lqr;

const DELAY: &str = "CONTROLLER_DELAY_MS";

fn main() -> eyre::Result<()> {
    let delay = delay(env::args().skip(1), env::var(DELAY).ok())?;
    let mut node = RtNode::init_from_env()?;
    let state = node.input::<f64>("state")?;
    let force = node.output("force", 1)?;
    if !delay.is_zero() {
        println!("every answer is {} ms late, as asked", delay.as_millis());
    }

    loop {
        match node.wait() {
            Event::Input(input) if input == state => {
                let newton = match *node.read(&state)? {
                    [x, x_dot, theta, theta_dot] => lqr::force(&[x, x_dot, theta, theta_dot]),
                    ref other => bail!("`state` shall be 4 numbers, not {}", other.len()),
                };
                if !delay.is_zero() {
                    thread::sleep(delay);
                }
                node.send(&force, &[newton])?;
            }
            Event::Stop(_) | Event::Closed => return Ok(()),
            _ => {}
        }
    }
}

/// `--delay-ms N`, otherwise the variable, otherwise none.
fn delay(mut arguments: impl Iterator<Item = String>, variable: Option<String>) -> eyre::Result<Duration> {
    let (name, text) = match arguments.next() {
        Some(flag) if flag == "--delay-ms" => {
            ("--delay-ms", arguments.next().ok_or_eyre("--delay-ms needs a number")?)
        }
        Some(other) => bail!("unknown argument `{other}`; there is only --delay-ms"),
        None => (DELAY, variable.unwrap_or_else(|| "0".to_owned())),
    };
    let millis =
        text.parse().wrap_err_with(|| format!("{name} is `{text}`, which is no number of milliseconds"))?;
    Ok(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delayed(arguments: &[&str], variable: Option<&str>) -> Option<u128> {
        let arguments = arguments.iter().map(|a| (*a).to_owned());
        delay(arguments, variable.map(str::to_owned)).ok().map(|delay| delay.as_millis())
    }

    #[test]
    fn argument_wins_over_variable_and_nonsense_is_refused() {
        assert_eq!(delayed(&[], None), Some(0));
        assert_eq!(delayed(&[], Some("80")), Some(80));
        assert_eq!(delayed(&["--delay-ms", "5"], Some("80")), Some(5));
        for (arguments, variable) in
            [(vec![], Some("soon")), (vec!["--delay-ms"], None), (vec!["--dely"], None)]
        {
            assert_eq!(delayed(&arguments, variable), None, "{arguments:?} {variable:?}");
        }
    }
}
