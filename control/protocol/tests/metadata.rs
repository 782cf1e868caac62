//! Parameters survive the trip through bytes, and bytes that are no parameters are refused.

use chrono::{DateTime, Utc};
use dora_protocol::metadata::{self, MetadataError, MetadataParameters, Parameter};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

fn time() -> impl Strategy<Value = DateTime<Utc>> {
    let range = DateTime::<Utc>::MIN_UTC.timestamp()..=DateTime::<Utc>::MAX_UTC.timestamp();
    (range, 0..1_000_000_000u32)
        .prop_filter_map("out of chrono's range", |(s, n)| DateTime::from_timestamp(s, n))
}

fn parameter() -> impl Strategy<Value = Parameter> {
    prop_oneof![
        any::<bool>().prop_map(Parameter::Bool),
        any::<i64>().prop_map(Parameter::Integer),
        any::<f64>().prop_map(Parameter::Float),
        any::<String>().prop_map(Parameter::String),
        vec(any::<i64>(), 0..20).prop_map(Parameter::ListInt),
        vec(any::<f64>(), 0..20).prop_map(Parameter::ListFloat),
        vec(any::<String>(), 0..5).prop_map(Parameter::ListString),
        time().prop_map(Parameter::Timestamp),
    ]
}

fn parameters() -> impl Strategy<Value = MetadataParameters> {
    btree_map(any::<String>(), parameter(), 0..8)
}

fn encode(params: &MetadataParameters) -> Vec<u8> {
    let mut bytes = vec![0; metadata::encoded_len(params)];
    assert_eq!(metadata::encode_into(params, &mut bytes), Ok(bytes.len()));
    bytes
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(params in parameters()) {
        prop_assert_eq!(metadata::decode(&encode(&params)), Ok(params));
    }

    #[test]
    fn garbage_is_an_error_or_something_that_encodes_again(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(params) = metadata::decode(&bytes) {
            // Compared as bytes, because NaN is not equal to itself.
            let once = encode(&params);
            prop_assert_eq!(encode(&metadata::decode(&once).unwrap()), once);
        }
    }

    #[test]
    fn one_wrong_byte_never_panics(params in parameters(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&params);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(params) = metadata::decode(&bytes) {
                prop_assert!(metadata::encoded_len(&params) <= bytes.len());
            }
        }
    }

    #[test]
    fn every_cut_is_refused(params in parameters(), at in any::<prop::sample::Index>()) {
        let bytes = encode(&params);
        if !bytes.is_empty() {
            let cut = at.index(bytes.len());
            prop_assert!(cut == 0 || metadata::decode(&bytes[..cut]).is_err());
        }
    }
}

#[test]
fn no_parameters_are_no_bytes() {
    assert_eq!(metadata::encoded_len(&MetadataParameters::new()), 0);
    assert_eq!(metadata::decode(&[]), Ok(MetadataParameters::new()));
}

#[test]
fn small_parameters_are_small() {
    let params = MetadataParameters::from([("seq".to_owned(), Parameter::Integer(7))]);
    assert_eq!(encode(&params), [1, 3, b's', b'e', b'q', 1, 14]);
}

#[test]
fn a_huge_count_is_refused_before_anything_is_reserved() {
    // One key `a`, a list of 2^63 strings.
    let bytes = [1, 1, b'a', 6, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1];
    assert!(matches!(metadata::decode(&bytes), Err(MetadataError::Truncated { .. })));
}

#[test]
fn keys_out_of_order_are_refused() {
    let bytes = [2, 1, b'b', 0, 1, 1, b'a', 0, 1];
    assert_eq!(metadata::decode(&bytes), Err(MetadataError::Invalid { what: "order of keys", at: 5 }));
}

#[test]
fn a_buffer_that_is_too_small_is_left_alone() {
    let params = MetadataParameters::from([("fin".to_owned(), Parameter::Bool(true))]);
    let mut out = [9; 4];
    assert_eq!(
        metadata::encode_into(&params, &mut out),
        Err(MetadataError::TooSmall { needed: 7, available: 4 })
    );
    assert_eq!(out, [9; 4]);
}

#[test]
fn a_leap_second_keeps_its_nanoseconds() {
    let time = DateTime::from_timestamp(1_483_228_799, 1_500_000_000).unwrap();
    let params = MetadataParameters::from([("t".to_owned(), Parameter::Timestamp(time))]);
    assert_eq!(metadata::decode(&encode(&params)), Ok(params));
}

#[test]
fn helpers_say_none_for_a_missing_key_and_for_another_type() {
    let params = MetadataParameters::from([
        ("text".to_owned(), Parameter::String("a".to_owned())),
        ("number".to_owned(), Parameter::Integer(3)),
        ("truth".to_owned(), Parameter::Bool(true)),
    ]);
    assert_eq!(metadata::get_string_param(&params, "text"), Some("a"));
    assert_eq!(metadata::get_string_param(&params, "number"), None);
    assert_eq!(metadata::get_integer_param(&params, "number"), Some(3));
    assert_eq!(metadata::get_integer_param(&params, "absent"), None);
    assert_eq!(metadata::get_bool_param(&params, "truth"), Some(true));
    assert_eq!(metadata::get_bool_param(&params, "text"), None);
}

#[test]
fn correlation_flush_and_reserved_keys_are_recognised() {
    let one = |key: &str, value| MetadataParameters::from([(key.to_owned(), value)]);
    assert!(metadata::is_correlated(&one(metadata::REQUEST_ID, Parameter::String("r".into()))));
    assert!(metadata::is_correlated(&one(metadata::GOAL_STATUS, Parameter::String("succeeded".into()))));
    assert!(!metadata::is_correlated(&one(metadata::SESSION_ID, Parameter::String("s".into()))));
    assert!(metadata::is_flush(&one(metadata::FLUSH, Parameter::Bool(true))));
    assert!(!metadata::is_flush(&one(metadata::FLUSH, Parameter::Bool(false))));
    assert!(!metadata::is_flush(&one(metadata::FLUSH, Parameter::Integer(1))));

    let mut params = one("__dora_probe", Parameter::Bool(true));
    params.insert("_framing".into(), Parameter::Bool(true));
    params.insert("mine".into(), Parameter::Bool(true));
    metadata::strip_reserved(&mut params);
    assert_eq!(params.into_keys().collect::<Vec<_>>(), ["mine"]);
}
