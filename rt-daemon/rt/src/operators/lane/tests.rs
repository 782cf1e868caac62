//! Words, and what becomes of messages that nobody took.
#![expect(clippy::disallowed_methods, reason = "tests run above the wall")]

use super::*;

#[test]
fn every_word_comes_out_as_it_went_in() {
    let verdicts = [Verdict::Finish, Verdict::StopAll, Verdict::Fail];
    let ended = verdicts.map(|verdict| What::Ended(7, verdict));
    let words = [What::Fed(0), What::Sent(NUMBER), What::Done(3), What::AllDone, What::AllFed];
    for what in words.into_iter().chain(ended) {
        for last in [false, true] {
            let word = Word::new(what, last);
            assert_eq!((word.what(), word.is_last()), (what, last));
        }
    }
}

#[test]
fn a_message_that_a_runtime_sends_takes_one_line() {
    assert_eq!(size_of::<Entry<[Box<u8>; 4]>>(), 64, "four words, none of them null");
}

#[test]
fn a_lane_that_was_never_used_has_nothing_to_drop() {
    drop(lane::<Box<u64>>(2));
}

#[test]
fn a_message_that_was_taken_is_not_dropped_again_with_its_lane() {
    let message = std::sync::Arc::new(());
    let (mut writer, mut reader) = lane(3);
    for number in 1..=2 {
        // SAFETY: the first step; then all three entries of that were taken.
        unsafe { writer.begin(Step { number, ..Step::default() }) };
        for _ in 0..4 - number {
            writer.push(What::Sent(0), Some(std::sync::Arc::clone(&message)));
        }
        assert!(writer.end());
        assert_eq!(reader.peek().map(|step| step.number), Some(number));
        reader.begin(number);
        for _ in 0..5 - 2 * number {
            assert_eq!(reader.take().and_then(|(_, message)| message), Some(std::sync::Arc::clone(&message)));
        }
    }
    assert_eq!(std::sync::Arc::strong_count(&message), 2, "one of two was taken");
    drop((writer, reader));
    assert_eq!(std::sync::Arc::strong_count(&message), 1);
}

#[test]
fn a_message_that_nobody_took_is_dropped_with_its_lane() {
    let message = std::sync::Arc::new(());
    let (mut writer, reader) = lane(2);
    // SAFETY: the first step.
    unsafe { writer.begin(Step { number: 1, ..Step::default() }) };
    for _ in 0..2 {
        writer.push(What::Sent(0), Some(std::sync::Arc::clone(&message)));
    }
    assert!(writer.end());
    assert!(!writer.end(), "it has said so");
    assert_eq!(std::sync::Arc::strong_count(&message), 3);
    drop((writer, reader));
    assert_eq!(std::sync::Arc::strong_count(&message), 1);
}

#[test]
fn a_message_whose_sender_was_not_done_is_dropped_with_the_writer() {
    let message = std::sync::Arc::new(());
    let (mut writer, mut reader) = lane(2);
    // SAFETY: the first step.
    unsafe { writer.begin(Step { number: 1, ..Step::default() }) };
    for _ in 0..2 {
        writer.push(What::Sent(0), Some(std::sync::Arc::clone(&message)));
    }
    reader.begin(1);
    assert!(reader.spin(1).is_some_and(|word| !word.is_last()));
    assert!(reader.take().is_some());
    assert!(reader.spin(1).is_none() && reader.take().is_none(), "nobody knows yet whether it is the last");
    drop(writer);
    assert_eq!(std::sync::Arc::strong_count(&message), 1);
    assert!(reader.take().is_none());
    drop(reader);
    assert_eq!(std::sync::Arc::strong_count(&message), 1);
}

#[test]
fn what_a_lane_has_no_room_for_is_dropped_at_once() {
    let message = std::sync::Arc::new(());
    let (mut writer, reader) = lane(1);
    // SAFETY: the first step.
    unsafe { writer.begin(Step { number: 1, ..Step::default() }) };
    for _ in 0..3 {
        writer.push(What::Sent(0), Some(std::sync::Arc::clone(&message)));
    }
    assert_eq!(std::sync::Arc::strong_count(&message), 2);
    drop((writer, reader));
    assert_eq!(std::sync::Arc::strong_count(&message), 1);
}
