//! The event stream in an executor: every message wakes the task, whoever else may wake it.

use std::{thread, time::Duration};

use dora_node_api::{
    DoraNode, Event, EventStream,
    futures::{self, SinkExt, StreamExt, channel::mpsc},
    merged::{MergeExternalSend, MergedEvent},
};

use crate::{node, project, said, say};

const MESSAGES: u64 = 40;
/// Items of the stream that is merged into the events.
const ITEMS: u64 = 20;

/// One message per tick, so slowly that the readers fall asleep in between.
pub(crate) fn sender() -> eyre::Result<()> {
    let (mut node, mut events) = DoraNode::init_from_env()?;
    let mut sent = 0;
    while sent < MESSAGES {
        match events.recv() {
            Some(Event::Input { .. }) => {
                node.send_output("number".into(), Default::default(), sent)?;
                sent += 1;
            }
            other => eyre::bail!("unexpected: {other:?}"),
        }
    }
    Ok(())
}

fn number(event: &Event) -> Option<u64> {
    match event {
        Event::Input { data, .. } => u64::try_from(data).ok(),
        _ => None,
    }
}

/// Two streams in one task, each with a source that wakes it from another thread. Half of the way the task moves to
/// another thread.
pub(crate) fn merger() -> eyre::Result<()> {
    let (_node, events) = DoraNode::init_from_env()?;
    let (mut sender, receiver) = mpsc::channel::<u64>(1);
    let feeding = thread::spawn(move || {
        for item in 0..ITEMS {
            thread::sleep(Duration::from_millis(7));
            futures::executor::block_on(sender.send(item)).expect("the node reads until the end");
        }
    });
    let mut merged = events.merge_external_send(receiver);
    let (mut numbers, mut items) = (Vec::new(), Vec::new());
    let mut take = move |merged: &mut (dyn futures::Stream<Item = MergedEvent<u64>> + Unpin),
                         until: usize| {
        futures::executor::block_on(async {
            while numbers.len() < until {
                match merged.next().await {
                    Some(MergedEvent::Dora(event)) => numbers.extend(number(&event)),
                    Some(MergedEvent::External(item)) => items.push(item),
                    None => break,
                }
            }
        });
        (numbers.clone(), items.clone())
    };
    take(&mut *merged, MESSAGES as usize / 2);
    let moved = thread::spawn(move || take(&mut *merged, usize::MAX));
    let (numbers, items) = moved.join().expect("the thread does not panic");
    feeding.join().expect("the thread does not panic");
    say(&format!("numbers {} items {}", numbers == sequence(MESSAGES), items == sequence(ITEMS)));
    Ok(())
}

fn sequence(len: u64) -> Vec<u64> {
    (0..len).collect()
}

/// Waits with a limit: sometimes the message wakes it, sometimes the alarm.
pub(crate) fn waiter() -> eyre::Result<()> {
    let (_node, mut events): (_, EventStream) = DoraNode::init_from_env()?;
    let (mut numbers, mut alarms, mut ends) = (Vec::new(), 0, Vec::new());
    futures::executor::block_on(async {
        while let Some(event) = events.recv_async_timeout(Duration::from_millis(2)).await {
            match event {
                Event::Error(_) => alarms += 1,
                Event::Input { .. } => numbers.extend(number(&event)),
                other => ends.push(format!("{other:?}")),
            }
        }
    });
    say(&format!("numbers {} alarms {} {ends:?}", numbers == sequence(MESSAGES), alarms > 0));
    Ok(())
}

#[test]
fn every_message_wakes_a_task_that_waits_in_an_executor() {
    let reads = "    inputs: { number: { source: sender/number, queue_policy: backpressure } }\n";
    let flow = project(&[
        node("sender", "async sender", "    inputs: { tick: dora/timer/millis/10 }\n    outputs: [number]\n"),
        node("merger", "async merger", reads),
        node("waiter", "async waiter", reads),
    ]);
    let ended = flow.dora(&["run", "flow.yml"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(said(&ended.out, "merger"), ["numbers true items true"], "{ended:?}");
    let expected =
        r#"numbers true alarms true ["InputClosed { id: DataId(\"number\") }", "Stop(AllInputsClosed)"]"#;
    assert_eq!(said(&ended.out, "waiter"), [expected], "{ended:?}");
}
