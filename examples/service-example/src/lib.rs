//! The two messages of the service as Arrow structs of one row: `{a, b}` is asked, `{sum}` is answered.

use std::sync::Arc;

use dora_node_api::{
    DoraArray,
    arrow_v59::{
        array::{Array, ArrayRef, AsArray, Int64Array, StructArray},
        datatypes::{DataType, Field, Int64Type},
    },
};
use eyre::OptionExt;

/// A struct of whole numbers.
pub fn record(fields: &[(&str, i64)]) -> StructArray {
    let column = |&(name, value): &(&str, i64)| {
        let field = Arc::new(Field::new(name, DataType::Int64, false));
        (field, Arc::new(Int64Array::from(vec![value])) as ArrayRef)
    };
    StructArray::from(fields.iter().map(column).collect::<Vec<_>>())
}

/// A field of a message.
///
/// # Errors
/// The message is no struct with one whole number of this name.
pub fn field(message: &DoraArray, name: &str) -> eyre::Result<i64> {
    let numbers = message
        .as_array()
        .as_struct_opt()
        .and_then(|fields| fields.column_by_name(name)?.as_primitive_opt::<Int64Type>());
    let number = numbers.filter(|numbers| numbers.len() == 1 && numbers.null_count() == 0);
    Ok(number
        .ok_or_eyre(format!("the message has no number `{name}`, it is {}", message.type_name()))?
        .value(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dora_node_api::IntoArrow;

    #[test]
    fn fields_come_back_and_what_is_missing_is_named() {
        let message = record(&[("a", 1), ("b", -2)]).into_arrow();
        assert_eq!((field(&message, "a").unwrap(), field(&message, "b").unwrap()), (1, -2));
        for (message, name) in [(message, "sum"), ("text".into_arrow(), "a"), (1_i64.into_arrow(), "a")] {
            let error = field(&message, name).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")) && error.contains(&message.type_name()), "{error}");
        }
    }
}
