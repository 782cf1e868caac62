//! Sends every array, whole and in part.

use cross_language_example::{PARTS, by_way_of_python, families};
use dora_node_api::{DoraArray, DoraNode, MetadataParameters, Parameter, dora_core::config::DataId};

fn main() -> eyre::Result<()> {
    let (mut node, _events) = DoraNode::init_from_env()?;
    let output = DataId::from("array".to_owned());
    let python = by_way_of_python();
    for family in families().into_iter().filter(|family| family.in_python || !python) {
        for (start, len) in PARTS {
            let params = MetadataParameters::from([
                ("family".to_owned(), Parameter::String(family.name.to_owned())),
                ("part".to_owned(), Parameter::ListInt(vec![start as i64, len as i64])),
            ]);
            let array = DoraArray::from(family.array.slice(start, len));
            node.send_output(output.clone(), params, array)?;
        }
    }
    Ok(())
}
