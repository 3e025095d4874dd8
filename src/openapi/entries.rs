//! What a client may ask to be written, as schemas: made from the catalogue of well-known types and from the limits
//! that `tambour_actors::entry` checks. By hand, because the parser borrows from its body and knows more than types do.

use tambour_actors::catalogue::{CATALOGUE, Member, Shape, WellKnown};
use tambour_actors::event::{BATCH_EVENTS_MAX, DATA_BYTES_MAX, RESERVED_TYPES, TYPE_BYTES_MAX};
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr};

use super::shapes;

/// An entry as a body of its own.
pub(super) const ENTRY: &str = "Entry";
/// An entry as a line.
pub(super) const LINE: &str = "Line";
/// An array with conditions.
pub(super) const ENTRIES: &str = "Entries";
/// An entry of an array: the array has the conditions.
const ARRAY_ENTRY: &str = "ArrayEntry";
/// An event, with conditions and without.
const EVENTS: [&str; 2] = ["EventEntry", "EventOfArray"];

/// The schemas of what is published, by name.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let [event, event_of_array] = EVENTS;
    let alone = OneOfBuilder::new().item(named(event)).item(conditions(append(true)));
    let line = OneOfBuilder::new().item(named(event)).item(conditions(append(false)));
    let of_array = OneOfBuilder::new().item(named(event_of_array)).item(append(true));
    let array = conditions(closed().property("events", array())).required("events");
    let schemas: [(&str, RefOr<Schema>); 6] = [
        (event, any_event(conditions).into()),
        (event_of_array, any_event(|event| event).into()),
        (ENTRY, alone.into()),
        (LINE, line.into()),
        (ARRAY_ENTRY, of_array.into()),
        (ENTRIES, array.into()),
    ];
    schemas.map(|(name, schema)| (name.to_owned(), schema)).into()
}

/// A body of JSON: an entry, an array, or an array with conditions.
pub(super) fn json() -> OneOfBuilder {
    OneOfBuilder::new().item(named(ENTRY)).item(array()).item(named(ENTRIES))
}

/// A body of lines.
pub(super) fn lines() -> ObjectBuilder {
    let words =
        format!("Lines, each the JSON of a `{LINE}`. An append without `event_id` is for the last event of this body.");
    ObjectBuilder::new().schema_type(Type::String).content_schema(Some(named(LINE))).description(Some(words))
}

fn array() -> ArrayBuilder {
    ArrayBuilder::new().items(named(ARRAY_ENTRY)).min_items(Some(1)).max_items(Some(BATCH_EVENTS_MAX))
}

/// An event of any type. `finish` says what there may be beside type and data.
fn any_event(finish: impl Fn(ObjectBuilder) -> ObjectBuilder) -> OneOfBuilder {
    let known = CATALOGUE.iter().map(well_known);
    [free()].into_iter().chain(known).fold(OneOfBuilder::new(), |choices, event| choices.item(finish(event)))
}

fn named(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

/// An object without other members.
fn closed() -> ObjectBuilder {
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn conditions(entry: ObjectBuilder) -> ObjectBuilder {
    let expect = shapes::of::<shapes::CursorOrEmpty>("Written only if this is the topic's newest event.");
    entry.property("idempotency_key", named("IdempotencyKey")).property("expect", expect)
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
    let target = shapes::of::<shapes::Cursor>("The event that gets the text.");
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
