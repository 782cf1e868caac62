//! Compares every array that comes with the one that was sent: type, values, nulls, metadata of fields.

use cross_language_example::{PARTS, by_way_of_python, families};
use dora_node_api::{
    DoraArray, DoraNode, Event, Metadata, Parameter, arrow_v59::array::Array, get_string_param,
};
use eyre::{bail, ensure, eyre};

fn check(metadata: &Metadata, data: &DoraArray) -> eyre::Result<(String, (usize, usize))> {
    let params = &metadata.parameters;
    let name = get_string_param(params, "family").ok_or_else(|| eyre!("no `family` in {params:?}"))?;
    let Some(Parameter::ListInt(part)) = params.get("part") else { bail!("{name}: no `part` in {params:?}") };
    let &[start, len] = part.as_slice() else { bail!("{name}: `part` is {part:?}") };
    let part = (usize::try_from(start)?, usize::try_from(len)?);
    let sent = families().into_iter().find(|family| family.name == name);
    let sent = sent.ok_or_else(|| eyre!("nobody sent {name}"))?.array.slice(part.0, part.1);
    let came = data.as_array();
    let (expected, found) = (sent.data_type(), came.data_type());
    ensure!(expected == found, "{name}: {expected:?} became {found:?}");
    ensure!(&sent == came, "{name} {part:?}: {sent:?} became {came:?}");
    Ok((name.to_owned(), part))
}

fn main() -> eyre::Result<()> {
    let (_node, mut events) = DoraNode::init_from_env()?;
    let python = by_way_of_python();
    let sent = families().into_iter().filter(|family| family.in_python || !python);
    let mut missing: Vec<_> =
        sent.flat_map(|family| PARTS.map(|part| (family.name.to_owned(), part))).collect();
    let all = missing.len();
    while let Some(event) = events.recv() {
        match event {
            Event::Input { metadata, data, .. } => {
                let came = check(&metadata, &data)?;
                missing.retain(|sent| *sent != came);
            }
            Event::Error(error) => bail!(error),
            _ => {}
        }
    }
    ensure!(missing.is_empty(), "of {all} arrays these did not come: {missing:?}");
    println!("all {all} arrays came through unchanged");
    Ok(())
}
