//! What a client may ask to be written, as schemas: made from the catalogue of well-known types and from the limits
//! that `tambour_actors::entry` checks. By hand, because the parser borrows from its body and knows more than types do.

use tambour_actors::catalogue::{CATALOGUE, Member, Shape, WellKnown};
use tambour_actors::event::{BATCH_EVENTS_MAX, DATA_BYTES_MAX, RESERVED_TYPES, TYPE_BYTES_MAX};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::ToSchema;
use utoipa::openapi::schema::RefBuilder;
use utoipa::openapi::{Ref, RefOr};

use super::shapes;

/// An entry as a body of its own.
pub(super) const ENTRY: &str = "Entry";
/// An entry of an array: the array has the conditions.
pub(super) const ARRAY_ENTRY: &str = "ArrayEntry";
/// An array with conditions.
pub(super) const ENTRIES: &str = "Entries";

/// The schemas of what is published, by name.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    vec![
        (ENTRY.to_owned(), entry(true, true).into()),
        (ARRAY_ENTRY.to_owned(), entry(false, true).into()),
        (ENTRIES.to_owned(), conditions(closed().property("events", array())).required("events").into()),
    ]
}

/// The entries of an array.
pub(super) fn array() -> ArrayBuilder {
    ArrayBuilder::new().items(Ref::from_schema_name(ARRAY_ENTRY)).min_items(Some(1)).max_items(Some(BATCH_EVENTS_MAX))
}

/// Any one of a schema of entries.
pub(super) fn any_of(names: &[&str]) -> OneOfBuilder {
    let choices = OneOfBuilder::new().item(array());
    names.iter().fold(choices, |choices, name| choices.item(Ref::from_schema_name(*name)))
}

/// An entry. `targeted`: an append says to which event.
fn entry(conditional: bool, targeted: bool) -> OneOfBuilder {
    let finish = |entry| if conditional { conditions(entry) } else { entry };
    let known = CATALOGUE.iter().map(|known| finish(well_known(known)));
    [finish(free()), finish(append(targeted))]
        .into_iter()
        .chain(known)
        .fold(OneOfBuilder::new(), |choices, choice| choices.item(choice))
}

/// An object without other members.
fn closed() -> ObjectBuilder {
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn conditions(entry: ObjectBuilder) -> ObjectBuilder {
    let expect = named::<shapes::CursorOrEmpty>("Written only if this is the topic's newest event.");
    entry.property("idempotency_key", Ref::from_schema_name("IdempotencyKey")).property("expect", expect)
}

/// A shape, in words of its use.
fn named<T: ToSchema>(words: &str) -> Ref {
    RefBuilder::new().ref_location_from_schema_name(T::name()).description(Some(words)).build()
}

/// An event of a type that nobody but its publishers knows.
fn free() -> ObjectBuilder {
    let known = RESERVED_TYPES.iter().chain(CATALOGUE.iter().map(|known| &known.kind));
    let others: Vec<_> = known.map(|kind| kind.replace('.', "[.]")).collect();
    let form = format!("^(?!({})$)[a-z][a-z0-9_.]{{0,{}}}$", others.join("|"), TYPE_BYTES_MAX - 1);
    let words = format!("Any JSON of at most {} KiB.", DATA_BYTES_MAX / 1024);
    let anything = ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(words));
    closed()
        .title(Some("an event"))
        .description(Some("Of a type of your own: not one that only the hub writes, nor a well-known one."))
        .property("type", shapes::form(form).examples(["note"]))
        .property("data", anything)
        .required("type")
        .required("data")
}

/// More text for an event of the caller's.
fn append(targeted: bool) -> ObjectBuilder {
    let target = named::<shapes::Cursor>("The event that gets the text.");
    let text = ObjectBuilder::new().schema_type(Type::String);
    let append = closed().property("event_id", target).property("data", text).required("data");
    let append = if targeted { append.required("event_id") } else { append };
    closed()
        .title(Some("append"))
        .description(Some("More text for an event that the caller sent."))
        .property("append", append)
        .required("append")
}

/// An event of a type of the catalogue.
fn well_known(known: &WellKnown) -> ObjectBuilder {
    let data = known.members.iter().fold(ObjectBuilder::new(), |data, Member { name, shape, needed }| {
        let kind = match shape {
            Shape::Text => Type::String,
            Shape::Number => Type::Number,
            Shape::Flag => Type::Boolean,
            Shape::List => Type::Array,
            Shape::Object => Type::Object,
        };
        let kind = if *needed { SchemaType::new(kind) } else { SchemaType::from_iter([kind, Type::Null]) };
        let data = data.property(*name, ObjectBuilder::new().schema_type(kind));
        if *needed { data.required(*name) } else { data }
    });
    closed()
        .title(Some(known.kind))
        .property("type", shapes::one_of([known.kind]))
        .property("data", data.schema_type(Type::Object))
        .required("type")
        .required("data")
}
