//! Layers: one source of values each, with the place of every path; and how a stronger one replaces.
//!
//! Maps merge; scalars and lists replace; a one-of that names another alternative replaces. One that names the same
//! alternative merges: `TWINBOX__…__TO__KAFKA__BROKERS` must not silently drop the file's `tls`.

use std::collections::BTreeMap;
use std::sync::Arc;

use figment::value::{Dict, Map};
use figment::{Figment, Metadata, Profile, Provider};
use serde_json::Value;

use super::node::{Entry, Node, Place, Shape};
use super::origin::{Origin, Path};
use super::problem::Problems;
use super::schema;

type Object = serde_json::Map<String, Value>;

/// Where a key and its value stand.
#[derive(Debug, Clone)]
struct Spot {
    key: Origin,
    value: Origin,
    /// A map: its own place says less than that of what is in it.
    section: bool,
}

/// One source of values.
#[derive(Debug, Default)]
pub(super) struct Layer {
    name: String,
    values: Object,
    spots: BTreeMap<Path, Spot>,
}

/// What all layers say together.
#[derive(Debug)]
pub(super) struct Merged {
    pub value: Value,
    /// Strongest first.
    layers: Vec<Layer>,
}

/// Which place of a value is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Key,
    Value,
}

// === impl Layer ===

impl Layer {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The layer of a file's top map.
    pub(super) fn of_file(file: &Arc<str>, entries: Vec<Entry>, problems: &mut Problems) -> Self {
        let mut reader = Reader {
            file,
            layer: Self::new(file.to_string()),
            problems,
        };
        let mut path = Path::new();
        let values = reader.map(entries, &mut path);
        Self { values, ..reader.layer }
    }

    /// Sets the text of a path; `Err`: the path that is in the way, because it has a value of its own.
    pub(super) fn set(&mut self, path: &[String], text: &str, origin: &Origin) -> Result<(), Path> {
        let Some((last, sections)) = path.split_last() else {
            return Err(Path::new());
        };
        let mut map = &mut self.values;
        for (depth, key) in sections.iter().enumerate() {
            let way = path[..=depth].to_vec();
            let next = map.entry(key.clone()).or_insert_with(|| Value::Object(Object::new()));
            let Value::Object(next) = next else { return Err(way) };
            map = next;
            let spot = Spot {
                key: origin.clone(),
                value: origin.clone(),
                section: true,
            };
            self.spots.entry(way).or_insert(spot);
        }
        if map.contains_key(last) {
            return Err(path.to_vec());
        }
        map.insert(last.clone(), text.into());
        self.spots.insert(
            path.to_vec(),
            Spot {
                key: origin.clone(),
                value: origin.clone(),
                section: false,
            },
        );
        Ok(())
    }

    /// The paths that have values of their own, or are sections, with their origins.
    pub(super) fn paths(&self) -> impl Iterator<Item = (&Path, &Origin)> {
        self.spots.iter().map(|(path, spot)| (path, &spot.key))
    }

    pub(super) fn get(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.values.get(first)?, |value, key| value.get(key))
    }

    /// Puts a value of the wanted type in the place of a text.
    pub(super) fn replace(&mut self, path: &[String], value: Value) {
        let Some((first, rest)) = path.split_first() else {
            return;
        };
        let slot = self.values.get_mut(first);
        if let Some(slot) = rest
            .iter()
            .try_fold(slot, |slot, key| Some(slot?.get_mut(key)))
            .flatten()
        {
            if let Some(spot) = self.spots.get_mut(path) {
                spot.section = value.is_object();
            }
            *slot = value;
        }
    }

    /// Takes a path out, with all that is below.
    pub(super) fn remove(&mut self, path: &[String]) {
        let Some((last, sections)) = path.split_last() else {
            return;
        };
        let mut map = Some(&mut self.values);
        for key in sections {
            map = map.and_then(|map| map.get_mut(key)?.as_object_mut());
        }
        if let Some(map) = map {
            map.remove(last);
        }
        self.spots.retain(|spot, _| !spot.starts_with(path));
    }

    /// Takes out of this layer what a stronger one replaces.
    fn give_way(&mut self, stronger: &Self) {
        for (path, spot) in &stronger.spots {
            let Some(own) = self.spots.get(path) else { continue };
            if !spot.section || !own.section || self.other_alternative(stronger, path) {
                self.remove(path);
            }
        }
    }

    /// Whether this is a one-of, and the stronger layer names another alternative than this one.
    fn other_alternative(&self, stronger: &Self, path: &[String]) -> bool {
        let one_of = schema::at(path).is_some_and(|schema| schema::marked(schema, "x-one-of"));
        let alternatives = |layer: &Self| layer.get(path).and_then(Value::as_object).cloned().unwrap_or_default();
        let named = alternatives(stronger);
        one_of && !named.is_empty() && alternatives(self).keys().any(|key| !named.contains_key(key))
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        let dict = figment::value::Value::serialize(&self.values)?
            .into_dict()
            .unwrap_or_default();
        Ok(Profile::Default.collect(dict))
    }
}

/// Puts the layers, weakest first, on top of each other.
pub(super) fn merge(mut layers: Vec<Layer>) -> Merged {
    layers.reverse();
    for index in 1..layers.len() {
        let (stronger, weaker) = layers.split_at_mut(index);
        for stronger in stronger {
            weaker[0].give_way(stronger);
        }
    }
    let figment = layers
        .iter()
        .rev()
        .fold(Figment::new(), |figment, layer| figment.merge(layer));
    // Plain JSON into plain JSON cannot fail; an empty map would be told as missing keys.
    let value = figment
        .extract::<Value>()
        .unwrap_or_else(|_| Value::Object(Object::new()));
    Merged { value, layers }
}

// === impl Merged ===

impl Merged {
    /// Where a path was written; for one that was not, the section that should hold it.
    pub(super) fn origin(&self, path: &[String], at: At) -> Origin {
        (0..path.len())
            .find_map(|up| {
                let spot = self.spot(&path[..path.len() - up])?;
                // Inside a list the item's own place is unknown when a variable wrote it.
                let key = at == At::Key || up > 0 || spot.section;
                Some(if key { spot.key.clone() } else { spot.value.clone() })
            })
            .unwrap_or(Origin::NotSet)
    }

    /// Where exactly this path was written.
    pub(super) fn written(&self, path: &[String]) -> Option<Origin> {
        let spot = self.spot(path)?;
        (!spot.section).then(|| spot.value.clone())
    }

    /// The files that were read and the number of variables and flags, for the start line.
    pub(super) fn summary(&self) -> String {
        let names: Vec<&str> = self
            .layers
            .iter()
            .rev()
            .filter(|layer| !layer.values.is_empty())
            .map(|layer| layer.name.as_str())
            .collect();
        if names.is_empty() {
            "defaults".to_owned()
        } else {
            names.join(", ")
        }
    }

    /// A section is told by the file that opened it, any other value by the layer that holds it.
    fn spot(&self, path: &[String]) -> Option<&Spot> {
        let mut spots = self.layers.iter().rev().filter_map(|layer| layer.spots.get(path));
        spots.next()
    }
}

/// Turns a file's nodes into values and places.
struct Reader<'a> {
    file: &'a Arc<str>,
    layer: Layer,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn map(&mut self, entries: Vec<Entry>, path: &mut Path) -> Object {
        let mut map = Object::new();
        for Entry { key, place, node } in entries {
            path.push(key);
            let key_origin = self.origin(place);
            if let Some(first) = self.layer.spots.get(path.as_slice()) {
                let sentence = format!("is written twice, first at {}; remove one", first.key);
                self.problems.value(path.clone(), key_origin, sentence);
            } else {
                let value = self.value(node, key_origin, path);
                map.insert(path.last().cloned().unwrap_or_default(), value);
            }
            path.pop();
        }
        map
    }

    fn value(&mut self, node: Node, key: Origin, path: &mut Path) -> Value {
        let spot = Spot {
            key,
            value: self.origin(node.place),
            section: matches!(node.shape, Shape::Map(_)),
        };
        self.layer.spots.insert(path.clone(), spot);
        match node.shape {
            Shape::Scalar(value) => value,
            Shape::Map(entries) => Value::Object(self.map(entries, path)),
            Shape::List(items) => Value::Array(self.list(items, path)),
        }
    }

    fn list(&mut self, items: Vec<Node>, path: &mut Path) -> Vec<Value> {
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            path.push(index.to_string());
            let origin = self.origin(item.place);
            list.push(self.value(item, origin, path));
            path.pop();
        }
        list
    }

    fn origin(&self, place: Place) -> Origin {
        Origin::File {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
        }
    }
}
