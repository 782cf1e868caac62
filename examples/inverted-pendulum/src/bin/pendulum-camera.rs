//! The camera: 30 pictures of 2 MB per second, drawn where their reader will read them.
//!
//! An ordinary node with the ordinary API. `send_output_raw` hands out the slot in shared memory to write into, so a
//! picture is never copied, and to the controller it makes no difference how large it is.

use dora_node_api::{DoraNode, Event, MetadataParameters, dora_core::config::DataId};
use inverted_pendulum::picture;

fn main() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let frame = DataId::from("frame".to_owned());
    let (mut x, mut theta, mut count) = (0.0, 0.0, 0);

    while let Some(event) = events.recv() {
        match event {
            Event::Input { id, data, .. } if id.as_str() == "pose" => {
                if let [now_x, now_theta] = *<&[f64]>::try_from(&data)? {
                    (x, theta) = (now_x, now_theta);
                }
            }
            Event::Input { id, .. } if id.as_str() == "tick" => {
                count += 1;
                let draw = |slot: &mut [u8]| picture::draw(slot, count, x, theta);
                node.send_output_raw(frame.clone(), MetadataParameters::default(), picture::BYTES, draw)?;
            }
            Event::Stop(_) => break,
            _ => {}
        }
    }
    Ok(())
}
