//! Says when a value is above its limit. A real-time operator: after its start it allocates nothing.

use dora_operator_api::{
    DoraStatus,
    rt::{Event, In, Out, Outbox, RtOperator, Setup, register_rt_operator},
};

const LIMIT: f64 = 50.0;

#[register_rt_operator]
#[derive(Debug)]
struct Alarm {
    value: In<f64>,
    alarm: Out<f64>,
    lost: u64,
}

impl RtOperator for Alarm {
    fn start(setup: &mut Setup<'_>) -> Result<Self, String> {
        Ok(Self { value: setup.input("value")?, alarm: setup.output("alarm", 1)?, lost: 0 })
    }

    fn on_event(&mut self, event: &Event<'_>, outbox: &mut Outbox<'_>) -> DoraStatus {
        if let Some(&[value]) = event.read(&self.value)
            && value > LIMIT
        {
            self.lost += u64::from(outbox.send(&self.alarm, &[value]).is_err());
        }
        DoraStatus::Continue
    }
}
