//! The extension table from one node to another, through the daemon.

use std::time::{Duration, Instant};

use dora_node_api::{DoraNode, Event, EventStream, event_stream::extensions};

use crate::{node, project, said, say};

fn wait_for(events: &mut EventStream, wanted: &str) -> eyre::Result<()> {
    while let Some(event) = events.recv() {
        if matches!(&event, Event::Input { id, .. } | Event::InputClosed { id } if *id == wanted) {
            return Ok(());
        }
    }
    eyre::bail!("the stream ended before `{wanted}`")
}

/// Stores two keys, and ends when the other node is done with them.
pub(crate) fn storer() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    node.extension_store("maps", "floor", vec![1, 2, 3])?;
    node.extension_store("maps", "floor", vec![4, 5])?;
    node.extension_store("maps", "roof", vec![])?;
    node.send_output("stored".into(), Default::default(), ())?;
    wait_for(&mut events, "done")?;
    say(&format!("{:?}", node.extension_load("maps", "roof", false)?));
    Ok(())
}

pub(crate) fn user() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    wait_for(&mut events, "stored")?;
    say(&format!("{:?}", node.extension_load("maps", "floor", false)?));
    say(&format!("{:?}", node.extension_load("maps", "cellar", false)?));
    say(&format!("{:?}", node.extension_load("maps", "roof", true)?));
    let refused = node.extension_store("maps", "floor", vec![]).expect_err("another node owns it");
    say(&format!("{refused:#}"));
    let unknown = node.extension_request("maps", vec![1]).expect_err("nobody answers");
    say(&format!("{unknown:#}"));
    node.extension_drop("maps", "nothing")?;
    say(&format!("{:?}", extensions::drain_dropped_keys("maps")));
    node.send_output("done".into(), Default::default(), ())?;
    let limit = Instant::now() + Duration::from_secs(60);
    let dropped = loop {
        let dropped = extensions::drain_dropped_keys("maps");
        if !dropped.is_empty() || Instant::now() > limit {
            break dropped;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    say(&format!("{dropped:?} then {:?}", node.extension_load("maps", "floor", false)?));
    Ok(())
}

#[test]
fn what_a_node_stores_is_there_for_others_until_that_node_ends() {
    let flow = project(&[
        node("storer", "extension storer", "    inputs: { done: user/done }\n    outputs: [stored]\n"),
        node("user", "extension user", "    inputs: { stored: storer/stored }\n    outputs: [done]\n"),
    ]);
    let ended = flow.dora(&["run", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(said(&ended.out, "storer"), ["None"], "a key that another node took is gone: {ended:?}");
    let said = said(&ended.out, "user");
    assert_eq!(said[..3], ["Some([4, 5])", "None", "Some([])"], "{ended:?}");
    assert!(said[3].contains("`floor`") && said[3].contains("only that one"), "{said:?}");
    assert!(said[4].contains("`maps`"), "{said:?}");
    assert_eq!(said[5..], ["[]", r#"["floor"] then None"#], "{said:?}");
}
