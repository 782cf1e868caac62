//! What it costs to put an array into a slot and to take it out: `cargo run --release -p dora-arrow-codec --example cost`.
//!
//! Prints the median, the 99th percentile and the worst of many batches, in nanoseconds per message, next to the
//! machine they are from. The slot is ordinary memory that was written before, so this is the codec alone.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use arrow_array::{Array, ArrayRef, Float64Array, StringArray, StructArray, UInt8Array};
use arrow_schema::{DataType, Field, Fields};
use dora_arrow_codec::{PayloadOwner, TypeCache, TypeNumbers, internal, plan};

const BATCHES: usize = 2000;

struct Slot {
    memory: Vec<u8>,
    start: usize,
}

impl PayloadOwner for Slot {
    fn bytes(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

impl Slot {
    fn new(len: usize) -> Self {
        let mut memory = vec![1; len + 64];
        let start = memory.as_ptr().align_offset(64);
        memory.truncate(start + len);
        Self { memory, start }
    }
}

fn report(what: &str, array: &str, per_batch: usize, mut run: impl FnMut()) {
    let mut nanos: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            (0..per_batch).for_each(|_| run());
            start.elapsed().as_nanos() as f64 / per_batch as f64
        })
        .collect();
    nanos.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| nanos[((BATCHES - 1) as f64 * part) as usize];
    println!("{array:28} {what:28} {:10.0} {:10.0} {:10.0}", at(0.5), at(0.99), at(1.0));
}

fn measure(name: &str, array: ArrayRef, per_batch: usize) {
    let data = array.to_data();
    let first = plan(&data).expect("every array can be planned");
    let mut slot = Slot::new(first.payload_len());
    let start = slot.start;
    let mut numbers = TypeNumbers::new();
    report("plan + write", name, per_batch, || {
        let plan = plan(black_box(&data)).expect("every array can be planned");
        black_box(numbers.number(&plan, |_| Some(64)).expect("every type can be numbered"));
        plan.write(&mut slot.memory[start..]);
    });
    report("plan alone", name, per_batch, || {
        black_box(plan(black_box(&data)).expect("every array can be planned"));
    });

    let owner: Arc<dyn PayloadOwner> = Arc::new(slot);
    let type_id = first.well_known().unwrap_or(64);
    let record = dora_arrow_codec::encode_type(array.data_type()).expect("every type has a record");
    let mut cache = TypeCache::new();
    let mut decode = || {
        let owner = black_box(owner.clone());
        cache.decode(type_id, || Some(&record), first.layout(), owner).expect("what was written is read")
    };
    report("decode", name, per_batch, || drop(black_box(decode())));
    report("decode to DoraArray", name, per_batch, || drop(black_box(internal::from_data(decode()))));
}

fn main() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    println!("cpu {}   kernel {}   not pinned", cpu.trim_start_matches([':', ' ', '\t']), kernel.trim());
    println!("{:28} {:28} {:>10} {:>10} {:>10}", "array", "ns per message", "p50", "p99", "max");

    measure("8 Float64 (64 B)", Arc::new(Float64Array::from(vec![0.5; 8])), 1000);
    measure("4 MiB UInt8", Arc::new(UInt8Array::from(vec![7; 4 << 20])), 1);
    measure("one string of 20 B", Arc::new(StringArray::from(vec!["abcdefghij0123456789"])), 1000);
    let axes = ["x", "y", "z"].map(|axis| Field::new(axis, DataType::Float64, false));
    let values = || Arc::new(Float64Array::from(vec![1.0])) as ArrayRef;
    let vector = StructArray::new(Fields::from(axes.to_vec()), vec![values(), values(), values()], None);
    measure("struct of 3 Float64", Arc::new(vector), 1000);
    let words = StringArray::from_iter_values((0..1000).map(|i| format!("word {i}")));
    measure("1000 strings", Arc::new(words), 20);
}
