//! A node that the user feeds by hand.

use std::io::{BufRead, Write};

use dora_arrow_codec::IntoArrow;
use dora_arrow_codec::{DoraArray, internal};
use dora_protocol::DataId;

use super::json;
use crate::{Event, StopCause, metadata::Metadata};

/// Asks for events. Asking blocks the thread.
#[derive(Debug, Default)]
pub(crate) struct Terminal {
    greeted: bool,
}

impl Terminal {
    pub(crate) fn ask(&mut self) -> Event {
        if !self.greeted {
            println!("This node runs without a dataflow. Type the events that it shall get.");
            self.greeted = true;
        }
        let mut stdin = std::io::stdin().lock();
        event(|question| answer(&mut stdin, question))
    }
}

/// The answer to a question; `None` at the end of the input.
fn answer(from: &mut impl BufRead, question: &str) -> Option<String> {
    print!("{question}: ");
    std::io::stdout().flush().ok()?;
    let mut line = String::new();
    let bytes = from.read_line(&mut line).ok()?;
    (bytes > 0).then(|| line.trim().to_owned())
}

fn event(mut answer: impl FnMut(&str) -> Option<String>) -> Event {
    loop {
        let name = answer("Input (empty to stop)").unwrap_or_default();
        if name.is_empty() {
            return Event::Stop(StopCause::Manual);
        }
        let Ok(id) = name.parse::<DataId>().inspect_err(|error| println!("{error}")) else { continue };
        let data = data(&answer("Data (JSON, text, or empty)").unwrap_or_default());
        let metadata = Metadata::new(uhlc::HLC::default().new_timestamp());
        return Event::Input { id, metadata, data };
    }
}

/// JSON when it is, otherwise text.
fn data(text: &str) -> DoraArray {
    if text.is_empty() {
        return ().into_arrow();
    }
    let array = serde_json::from_str(text).ok().and_then(|value| json::to_array(&value, None).ok());
    array.map_or_else(|| text.into_arrow(), internal::wrap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(lines: &str) -> Event {
        let mut from = std::io::Cursor::new(lines.to_owned());
        event(|question| answer(&mut from, question))
    }

    #[test]
    fn data_is_json_or_else_text() {
        let Event::Input { id, data, .. } = typed("speed\n1.5\n") else { panic!("no input") };
        assert_eq!((id.as_str(), f64::try_from(&data).unwrap()), ("speed", 1.5));
        let Event::Input { data, .. } = typed("name\nnot json\n") else { panic!("no input") };
        assert_eq!(<&str>::try_from(&data).unwrap(), "not json");
        let Event::Input { data, .. } = typed("pose\n{\"x\": 1}\n") else { panic!("no input") };
        assert!(data.type_name().contains("Struct"), "{}", data.type_name());
        let Event::Input { data, .. } = typed("tick\n\n") else { panic!("no input") };
        assert!(data.is_empty());
    }

    #[test]
    fn an_empty_name_or_the_end_of_the_input_stops_the_node() {
        for lines in ["\n", ""] {
            assert!(matches!(typed(lines), Event::Stop(StopCause::Manual)));
        }
    }

    #[test]
    fn an_impossible_name_is_asked_for_again() {
        let Event::Input { id, .. } = typed("a//b\ngood\n1\n") else { panic!("no input") };
        assert_eq!(id.as_str(), "good");
    }
}
