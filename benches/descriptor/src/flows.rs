//! Descriptors of a thousand nodes, as files in a folder of their own.

use std::{fmt::Write as _, fs, path::PathBuf};

use eyre::Context;
use tempfile::TempDir;

/// Nodes of each.
pub(crate) const NODES: usize = 1000;

/// A descriptor on disk.
pub(crate) struct Flow {
    /// Deleted with this.
    _folder: TempDir,
    /// The descriptor.
    pub(crate) file: PathBuf,
}

impl Flow {
    fn of(files: &[(&str, String)]) -> eyre::Result<Self> {
        let folder = tempfile::tempdir()?;
        for (name, text) in files {
            fs::write(folder.path().join(name), text)
                .wrap_err_with(|| format!("{name} cannot be written"))?;
        }
        Ok(Self { file: folder.path().join("dataflow.yml"), _folder: folder })
    }

    /// Each node reads the two before it.
    pub(crate) fn plain() -> eyre::Result<Self> {
        Self::of(&[("dataflow.yml", format!("nodes:\n{}", nodes(|_| String::new())))])
    }

    /// The same with everything that is checked: types, real time, chains.
    pub(crate) fn full() -> eyre::Result<Self> {
        let more = |n: usize| {
            format!(
                "    wcet: 10us\n    cpu_affinity: [{}]\n    rt: {{ policy: fifo, priority: {} }}\n    \
                 restart_policy: on-failure\n    env: {{ SPEED: {n}, NAME: node {n} }}\n    \
                 output_types: {{ out: std/core/v1/Float32 }}\n    \
                 input_types: {{ a: std/core/v1/Float64, b: std/core/v1/Float32 }}\n",
                n % 64,
                1 + n % 99
            )
        };
        let mut text = String::from("strict_types: false\nenv: { ROBOT: one, SITE: two }\nchains:\n");
        for n in (10..NODES).step_by(100) {
            writeln!(text, "  - {{ from: node{}/out, to: node{n}/a, within: 5ms }}", n - 5)?;
        }
        write!(text, "nodes:\n{}", nodes(more))?;
        Self::of(&[("dataflow.yml", text)])
    }

    /// A hundred uses of a module of ten nodes.
    pub(crate) fn modules() -> eyre::Result<Self> {
        let mut module = String::from("module: { name: m, inputs: [a, b], outputs: [out] }\nnodes:\n");
        for n in 0..10 {
            let (a, b) = if n == 0 {
                ("_mod/a".to_owned(), "_mod/b")
            } else {
                (format!("n{}/o{}", n - 1, n - 1), "_mod/b")
            };
            let output = if n == 9 { "out".to_owned() } else { format!("o{n}") };
            writeln!(
                module,
                "  - id: n{n}\n    path: n{n}.py\n    args: --gain $PARAM_GAIN\n    inputs: {{ a: {a}, b: {b} }}\n    outputs: [{output}]"
            )?;
        }
        let mut text = String::from("nodes:\n  - { id: m0, path: first.py, outputs: [out] }\n");
        for n in 1..=NODES / 10 {
            writeln!(
                text,
                "  - id: m{n}\n    module: m.yml\n    params: {{ gain: {n} }}\n    inputs: {{ a: m{}/out, b: m0/out }}",
                n - 1
            )?;
        }
        Self::of(&[("dataflow.yml", text), ("m.yml", module)])
    }
}

fn nodes(more: impl Fn(usize) -> String) -> String {
    let node = |n: usize| {
        let sources = match n {
            0 => "a: dora/timer/millis/10, b: dora/timer/hz/5".to_owned(),
            1 => "a: node0/out, b: dora/timer/hz/5".to_owned(),
            _ => format!("a: node{}/out, b: {{ source: node{}/out, queue_size: 5 }}", n - 1, n - 2),
        };
        let more = more(n);
        format!(
            "  - id: node{n}\n    path: nodes/node{n}.py\n    args: --rate {n}\n    inputs: {{ {sources} }}\n    outputs: [out]\n{more}"
        )
    };
    (0..NODES).map(node).collect()
}
