//! What the controller does between two waits, with the allocator counted.

use mujoco_robot::{law::Law, watch::Watch};
use rt_tuning::alloc_guard::{self, AllocGuard};

#[global_allocator]
static GUARD: AllocGuard = AllocGuard;

#[test]
fn thousand_states_are_answered_without_the_allocator() {
    assert!(alloc_guard::is_installed());
    // As large as the humanoid: 27 degrees of freedom, 21 motors.
    let (dofs, motors) = (27, 21);
    let mut gain = vec![0.01; 2 + (dofs + 1) + 3 * motors + motors * 2 * dofs];
    gain[..2].copy_from_slice(&[dofs as f64, motors as f64]);
    gain[2 + dofs + 1 + motors..][..motors].fill(-1.0);
    gain[2 + dofs + 1 + 2 * motors..][..motors].fill(1.0);
    let state = vec![0.1; 1 + dofs + 1 + dofs];
    let mut torques = vec![0.0; motors];

    let (sum, counts) = alloc_guard::count(|| {
        let law = Law::new(gain.as_slice()).expect("a good law");
        let mut watch = Watch::default();
        for _ in 0..1000 {
            watch.feed();
            law.torques(&state, &mut torques).expect("a good state");
            watch.tick();
        }
        torques.iter().sum::<f64>()
    });
    assert_eq!(counts.calls(), 0, "{counts:?}");
    assert!(sum.is_finite() && sum != 0.0, "it computed something: {sum}");
}
