//! The loop in simulated time: it stands when its answers are punctual and falls when they are not.

use inverted_pendulum::headless;

#[test]
fn punctual_controller_holds_the_pole_whatever_the_pushes() {
    for seed in 1..=3 {
        let verdict = headless::run(40, 0, seed);
        assert_eq!(verdict.fell_after(), None, "seed {seed}: {verdict}");
        assert!(verdict.largest_angle() < 0.1, "seed {seed}: {verdict}");
    }
}

#[test]
fn answer_that_is_twenty_milliseconds_old_is_still_good_enough() {
    for seed in 1..=3 {
        let verdict = headless::run(20, 20, seed);
        assert_eq!(verdict.fell_after(), None, "seed {seed}: {verdict}");
    }
}

#[test]
fn controller_that_is_late_lets_the_pole_fall_within_three_seconds() {
    for delay_ms in [60, 70, 80, 90, 100] {
        for seed in 1..=3 {
            let verdict = headless::run(10, delay_ms, seed);
            let fell =
                verdict.fell_after().unwrap_or_else(|| panic!("{delay_ms} ms, seed {seed}: {verdict}"));
            assert!(fell < 3000, "{delay_ms} ms, seed {seed}: {verdict}");
        }
    }
}

#[test]
fn same_seed_and_delay_give_the_same_run() {
    assert_eq!(headless::run(10, 5, 4), headless::run(10, 5, 4));
    assert_ne!(headless::run(10, 5, 4), headless::run(10, 5, 5), "the pushes differ");
}
