//! JSON of which the same value always has the same bytes.
//!
//! Written piece by piece: a report of a million gaps as a tree of JSON values would take gigabytes.

use std::ops::Range;

use serde::Serialize;
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Error, Number, Value};

use crate::model::escape_json;

/// JSON with keys in ascending order, no spaces, shortest round-trip numbers, and
/// [what is escaped](crate::model::is_escaped) in escapes. What is no number is `null`.
///
/// Keys are sorted here, since the order of `serde_json`'s maps depends on features that other
/// crates may enable.
pub fn canonical_json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = String::new();
    value.serialize(Writer { out: &mut out }).expect("reports have only string keys");
    escape_json(&out).into_owned()
}

/// Appends one value.
struct Writer<'a> {
    out: &'a mut String,
}

impl<'a> Writer<'a> {
    fn text(self, text: &str) {
        self.out.push_str(&Value::String(text.to_owned()).to_string());
    }

    fn number(self, number: Option<Number>) {
        match number {
            Some(number) => self.out.push_str(&number.to_string()),
            None => self.out.push_str("null"),
        }
    }

    /// Begins the object of an enum's variant that holds something.
    fn variant(self, name: &'static str) -> Self {
        self.out.push('{');
        Writer { out: self.out }.text(name);
        self.out.push(':');
        self
    }

    fn items(self, close: &'static str) -> Items<'a> {
        self.out.push('[');
        Items { out: self.out, is_first: true, close }
    }

    fn fields(self, close: &'static str) -> Fields<'a> {
        let start = self.out.len();
        Fields { out: self.out, start, key: None, places: Vec::new(), close }
    }
}

/// A list under way.
struct Items<'a> {
    out: &'a mut String,
    is_first: bool,
    close: &'static str,
}

impl Items<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        if !std::mem::take(&mut self.is_first) {
            self.out.push(',');
        }
        value.serialize(Writer { out: self.out })
    }

    fn close(self) {
        self.out.push_str(self.close);
    }
}

/// An object under way: its values stand one after the other from `start` on, in the order in which
/// they came, and are put in order of their keys at the end.
struct Fields<'a> {
    out: &'a mut String,
    start: usize,
    key: Option<String>,
    /// Keys, each with where its value stands after `start`.
    places: Vec<(String, Range<usize>)>,
    close: &'static str,
}

impl Fields<'_> {
    fn field<T: Serialize + ?Sized>(&mut self, key: String, value: &T) -> Result<(), Error> {
        let from = self.out.len() - self.start;
        value.serialize(Writer { out: self.out })?;
        self.places.push((key, from..self.out.len() - self.start));
        Ok(())
    }

    fn close(mut self) {
        let values = self.out.split_off(self.start);
        self.places.sort_by(|a, b| a.0.cmp(&b.0));
        self.out.push('{');
        for (number, (key, place)) in self.places.into_iter().enumerate() {
            if number > 0 {
                self.out.push(',');
            }
            Writer { out: self.out }.text(&key);
            self.out.push(':');
            self.out.push_str(&values[place]);
        }
        self.out.push_str(self.close);
    }
}

impl<'a> Serializer for Writer<'a> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'a>;
    type SerializeTuple = Items<'a>;
    type SerializeTupleStruct = Items<'a>;
    type SerializeTupleVariant = Items<'a>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.out.push_str(if value { "true" } else { "false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.number(Some(value.into()));
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.number(Some(value.into()));
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.number(Number::from_f64(value));
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.text(value.encode_utf8(&mut [0; 4]));
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.text(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.out.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let Writer { out } = self.variant(variant);
        value.serialize(Writer { out })?;
        out.push('}');
        Ok(())
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<Items<'a>, Error> {
        Ok(self.items("]"))
    }

    fn serialize_tuple(self, _length: usize) -> Result<Items<'a>, Error> {
        Ok(self.items("]"))
    }

    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        _length: usize,
    ) -> Result<Items<'a>, Error> {
        Ok(self.items("]"))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Items<'a>, Error> {
        Ok(self.variant(variant).items("]}"))
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<Fields<'a>, Error> {
        Ok(self.fields("}"))
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<Fields<'a>, Error> {
        Ok(self.fields("}"))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Fields<'a>, Error> {
        Ok(self.variant(variant).fields("}}"))
    }
}

/// Implements the traits of lists.
macro_rules! list {
    ($($of:ident $add:ident),*) => {$(
        impl $of for Items<'_> {
            type Ok = ();
            type Error = Error;

            fn $add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
                self.item(value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}

list!(
    SerializeSeq serialize_element,
    SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

/// Implements the traits of structs.
macro_rules! object {
    ($($of:ident),*) => {$(
        impl $of for Fields<'_> {
            type Ok = ();
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), Error> {
                self.field(key.to_owned(), value)
            }

            fn end(self) -> Result<(), Error> {
                self.close();
                Ok(())
            }
        }
    )*};
}

object!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Fields<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        // Numbers and names of variants are keys as text.
        self.key = Some(match serde_json::to_value(key)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(Error::custom("a key must be text")),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let key = self.key.take().ok_or_else(|| Error::custom("a value came without a key"))?;
        self.field(key, value)
    }

    fn end(self) -> Result<(), Error> {
        self.close();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Serialize)]
    enum Any {
        Unit,
        One(f64),
        Two(i8, char),
        Named { z: Option<u64>, a: &'static str },
    }

    #[derive(Serialize)]
    struct Whole {
        zone: &'static str,
        any: Vec<Any>,
        numbers: BTreeMap<i64, Option<f32>>,
        #[serde(flatten)]
        rest: BTreeMap<&'static str, (bool, ())>,
    }

    #[test]
    fn keys_ascend_at_every_depth_whatever_holds_them() {
        let whole = Whole {
            zone: "a\"\u{1}ß",
            any: vec![
                Any::Unit,
                Any::One(1.0),
                Any::One(f64::NAN),
                Any::Two(-1, 'x'),
                Any::Named { z: Some(u64::MAX), a: "" },
            ],
            numbers: BTreeMap::from([(10, Some(0.5)), (9, None)]),
            rest: BTreeMap::from([("between", (true, ()))]),
        };
        let expected = concat!(
            r#"{"any":["Unit",{"One":1.0},{"One":null},{"Two":[-1,"x"]},"#,
            r#"{"Named":{"a":"","z":18446744073709551615}}],"between":[true,null],"#,
            r#""numbers":{"10":0.5,"9":null},"zone":"a\"\u0001ß"}"#
        );
        assert_eq!(canonical_json(&whole), expected);
        // What serde_json makes of it says the same.
        let read: Value = serde_json::from_str(expected).expect("it is JSON");
        assert_eq!(serde_json::to_value(&whole).expect("it is JSON"), read);
        assert_eq!(canonical_json(&read), expected);
        assert_eq!(canonical_json(&serde_json::json!([{}, [], null])), "[{},[],null]");
    }
}
