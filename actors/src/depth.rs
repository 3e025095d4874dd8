//! How deep JSON is nested, told from its text without parsing it: what parses it later, here or at a reader, may go one
//! level down for each bracket.

/// Deepest nesting of an event's `data`.
pub const DATA_DEPTH_MAX: usize = 64;

/// Whether arrays and objects are nested deeper than so many levels. The text need not be valid JSON.
#[must_use]
pub fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn depths() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(!is_deeper(nested(64).as_bytes(), 64) && is_deeper(nested(65).as_bytes(), 64));
        assert!(!is_deeper(br#""[[[[[[[[""#, 2) && !is_deeper(br#"{"a\"[[[[":"\\"}"#, 2));
        assert!(is_deeper(br#"["\\",[[]]]"#, 2) && !is_deeper(b"[[],[],[]]", 2));
        assert!(!is_deeper(b"]]]]", 0) && is_deeper("[".repeat(1_000_000).as_bytes(), 64));
    }

    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), "[\\[\\]{}\"\\\\a]{0,6}".prop_map(Value::from)];
        leaf.prop_recursive(6, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec(("[\\[\\]{}\"\\\\a]{0,4}", inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_a_parser_finds(value in any_json(), most in 0..8_usize) {
            prop_assert_eq!(is_deeper(value.to_string().as_bytes(), most), depth(&value) > most);
        }
    }
}
