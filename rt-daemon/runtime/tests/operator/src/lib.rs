//! An operator that does what the name of its input says.
#![expect(unsafe_code, reason = "one of the things that it does is a crash")]

use dora_operator_api::{
    DoraArray, DoraOperator, DoraOutputSender, DoraStatus, Event, MetadataParameters, Parameter,
    function_like,
};

#[derive(Debug, Default)]
struct ForTests {
    events: i64,
}

function_like::register_operator!(ForTests);

fn address(data: &DoraArray) -> i64 {
    data.as_array().to_data().buffers()[0].as_ptr().addr() as i64
}

fn crash() {
    // SAFETY: none; this is the crash that the test asks for.
    unsafe { std::ptr::null_mut::<u8>().write_volatile(1) }
}

impl DoraOperator for ForTests {
    fn on_event(
        &mut self,
        event: &Event<'_>,
        sender: &mut DoraOutputSender<'_>,
    ) -> Result<DoraStatus, String> {
        let Event::Input { id, data } = event else {
            match event {
                Event::InputClosed { id } => println!("says: closed {id} after {} events", self.events),
                Event::Stop => println!("says: stop after {} events", self.events),
                other => println!("says: {other:?}"),
            }
            return Ok(DoraStatus::Continue);
        };
        self.events += 1;
        match *id {
            "echo" => sender.forward("out", data.clone())?,
            "large" => {
                let values = vec![7u8; 4 << 20];
                let at: MetadataParameters =
                    [("address".to_owned(), Parameter::Integer(values.as_ptr().addr() as i64))].into();
                sender.send_with_metadata("out", at, values)?;
            }
            "compare" => {
                let sent = event.metadata().get("address").cloned();
                let same = sent == Some(Parameter::Integer(address(data)));
                println!("says: {} bytes, {}", data.len(), if same { "the same buffer" } else { "a copy" });
                return Ok(DoraStatus::StopAll);
            }
            "three" if self.events == 3 => {
                sender.send("out", self.events)?;
                return Ok(DoraStatus::Stop);
            }
            "three" => sender.send("out", self.events)?,
            "twelve" => {
                sender.send("out", self.events)?;
                if self.events == 12 {
                    return Ok(DoraStatus::Stop);
                }
            }
            "thirds_crash" => {
                let number = i64::try_from(data).map_err(|error| error.to_string())?;
                if number % 3 == 0 {
                    crash();
                }
                sender.forward("out", data.clone())?;
            }
            "note" => {
                let number = i64::try_from(data).map_err(|error| error.to_string())?;
                println!("says: heard {number}");
            }
            "log" => println!(
                r#"{{"level":"warn","timestamp":"2030-01-01T00:00:00Z","message":"event {}"}}"#,
                self.events
            ),
            "line" => {
                let line = String::try_from(data).map_err(|error| error.to_string())?;
                println!("says: got {line}");
            }
            "end" => return Ok(DoraStatus::StopAll),
            "undeclared" => {
                sender.send("nobody", 1)?;
                sender.send("nobody", 2)?;
                return Ok(DoraStatus::StopAll);
            }
            "fail" => return Err("this is how it fails".into()),
            "panic" => panic!("this is how it panics"),
            "crash" => crash(),
            other => return Err(format!("there is nothing to do for `{other}`")),
        }
        Ok(DoraStatus::Continue)
    }
}
