//! The average of the last four values.

use dora_operator_api::{DoraOperator, DoraOutputSender, DoraStatus, Event, into_vec, register_operator};

const WINDOW: usize = 4;

#[register_operator]
#[derive(Debug, Default)]
struct Average {
    last: Vec<f64>,
}

impl DoraOperator for Average {
    fn on_event(
        &mut self,
        event: &Event<'_>,
        sender: &mut DoraOutputSender<'_>,
    ) -> Result<DoraStatus, String> {
        match event {
            Event::Input { id: "value", data } => {
                self.last.extend(into_vec::<f64>(data).map_err(|error| error.to_string())?);
                self.last.drain(..self.last.len().saturating_sub(WINDOW));
                let average = self.last.iter().sum::<f64>() / self.last.len().max(1) as f64;
                // What the sensor said about the value goes along.
                sender.forward("average", average)?;
            }
            Event::InputClosed { id } => println!("{id} is closed"),
            Event::Stop => println!("the average ends"),
            other => println!("not expected: {other:?}"),
        }
        Ok(DoraStatus::Continue)
    }
}
