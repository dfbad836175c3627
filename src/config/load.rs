//! From files, variables and flags to a configuration that holds, or to everything that is wrong with them.

use std::fs::File;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::env::{Environment, PREFIX};
use super::layer::{At, Layer, Merged, merge};
use super::node::{self, Shape};
use super::origin::{Origin, Path};
use super::problem::Problems;
use super::root::Root;
use super::{check, convert, inspect, validate};
use crate::setting::Complaints;

/// The largest file read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The variable that names the file.
const FILE_VARIABLE: &str = "TWINBOX_CONFIG";
/// The file when nothing names one; it may be missing.
const FILE_DEFAULT: &str = "twinbox.yaml";
/// Taking out what is wrong may uncover that its section is wrong without it: at most once per level.
const PRUNINGS_MAX: usize = 8;

/// A configuration that passed every check.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub root: Root,
    /// What it was read from, for the start line: `twinbox.yaml, 2 variables`.
    pub origin: String,
}

/// Layers put together, before and beside the checks.
pub(super) struct Assembled {
    pub merged: Merged,
    pub problems: Problems,
}

/// Reads and checks the configuration: `files` (later ones win) or the default file, then the environment, then flags
/// (`--set path=value`, split at the sign).
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(files: &[PathBuf], env: &Environment, flags: &[(String, String)]) -> Result<Loaded, Problems> {
    let Assembled { merged, mut problems } = assemble(files, env, flags)?;
    for complaint in inspect::inspect(&merged.value, env) {
        problems.complain(complaint, &merged);
    }
    let root = root(merged.value.clone());
    let mut complaints = Complaints::default();
    if let Some(root) = &root {
        check::check(root, env, &mut complaints);
    }
    for complaint in complaints.into_vec() {
        problems.complain(complaint, &merged);
    }
    match root {
        Some(root) if problems.is_empty() => Ok(Loaded {
            root,
            origin: merged.summary(),
        }),
        _ => Err(problems.sorted()),
    }
}

/// Everything up to the schema's word. `Err` when a file could not be read at all: what follows would be noise.
pub(super) fn assemble(
    files: &[PathBuf],
    env: &Environment,
    flags: &[(String, String)],
) -> Result<Assembled, Problems> {
    let mut problems = Problems::default();
    let mut layers = read_files(files, env, &mut problems);
    if problems.unreadable() {
        return Err(problems.sorted());
    }
    layers.push(variables(env, &mut problems));
    layers.push(set_by_flags(flags, &mut problems));
    let mut merged = merge(layers);
    convert::nulls(&mut merged, &mut problems);
    for (path, at, sentence) in validate::validate(&merged.value) {
        let origin = merged.origin(&path, at);
        problems.value(path, origin, sentence);
    }
    Ok(Assembled { merged, problems })
}

fn read_files(files: &[PathBuf], env: &Environment, problems: &mut Problems) -> Vec<Layer> {
    let named = if files.is_empty() {
        env.get(FILE_VARIABLE)
            .filter(|name| !name.is_empty())
            .map(PathBuf::from)
            .into_iter()
            .collect()
    } else {
        files.to_vec()
    };
    let default = FilePath::new(FILE_DEFAULT);
    if named.is_empty() && !default.exists() {
        return Vec::new();
    }
    let named = if named.is_empty() {
        vec![default.to_owned()]
    } else {
        named
    };
    named.iter().filter_map(|file| read_file(file, problems)).collect()
}

/// The layer of a file, or its problem.
fn read_file(path: &FilePath, problems: &mut Problems) -> Option<Layer> {
    let file: Arc<str> = path.display().to_string().into();
    let place = |line, column| Origin::File {
        file: file.clone(),
        line,
        column,
    };
    let text = match read_text(path) {
        Ok(text) => text,
        Err((line, sentence)) => {
            problems.file(place(line, 1), sentence);
            return None;
        }
    };
    match node::parse(&text) {
        Err(error) => {
            let origin = error.place.map_or_else(|| place(1, 1), |at| place(at.line, at.column));
            problems.file(origin, error.sentence);
            None
        }
        Ok(None) => None,
        Ok(Some(node)) => match node.shape {
            Shape::Map(entries) => Some(Layer::of_file(&file, entries, problems)),
            Shape::Scalar(Value::Null) => None,
            _ => {
                problems.file(
                    place(node.place.line, node.place.column),
                    "holds no keys; write `key: value` lines",
                );
                None
            }
        },
    }
}

fn read_text(path: &FilePath) -> Result<String, (u64, String)> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| (1, format!("cannot be read: {}", error.kind())))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err((1, "is larger than 1 MiB: is it the right file?".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let lines = String::from_utf8_lossy(&error.as_bytes()[..valid])
            .matches('\n')
            .count();
        (1 + lines as u64, "is not UTF-8 here; save it as UTF-8".to_owned())
    })
}

fn variables(env: &Environment, problems: &mut Problems) -> Layer {
    let count = env.ours().count();
    let mut layer = Layer::new(if count == 1 {
        "1 variable".to_owned()
    } else {
        format!("{count} variables")
    });
    for (name, text) in env.ours() {
        let path: Path = name[PREFIX.len()..].split("__").map(str::to_lowercase).collect();
        let origin = Origin::Variable(name.to_owned());
        let Some(text) = text else {
            problems.value(path, origin, "is not UTF-8");
            continue;
        };
        set(&mut layer, (&path, text, origin), problems);
    }
    convert::texts(&mut layer, problems);
    layer
}

fn set_by_flags(flags: &[(String, String)], problems: &mut Problems) -> Layer {
    let mut layer = Layer::new(if flags.len() == 1 {
        "1 flag".to_owned()
    } else {
        format!("{} flags", flags.len())
    });
    for (dotted, text) in flags {
        let path: Path = dotted.split('.').map(str::to_owned).collect();
        set(&mut layer, (&path, text, Origin::Flag(dotted.clone())), problems);
    }
    convert::texts(&mut layer, problems);
    layer
}

fn set(layer: &mut Layer, (path, text, origin): (&[String], &str, Origin), problems: &mut Problems) {
    if let Err(way) = layer.set(path, text, &origin) {
        let sentence = format!("contradicts {}, which is set beside it; remove one", way.join("."));
        problems.value(path.to_vec(), origin, sentence);
    }
}

/// The typed configuration, without the parts that are wrong, so that rules across fields can speak of the others.
fn root(mut value: Value) -> Option<Root> {
    for _ in 0..PRUNINGS_MAX {
        let findings = validate::validate(&value);
        if findings.is_empty() {
            break;
        }
        for (path, _, _) in &findings {
            prune(&mut value, path);
        }
    }
    Root::deserialize(value).ok()
}

/// Takes out what is wrong: the key; for a list's item the list; for a missing key the section that lacks it.
fn prune(value: &mut Value, path: &[String]) {
    let Some((last, sections)) = path.split_last() else {
        return;
    };
    let parent = sections.iter().try_fold(&mut *value, |value, key| value.get_mut(key));
    let gone = parent.and_then(Value::as_object_mut).and_then(|map| map.remove(last));
    if gone.is_none() {
        prune(value, sections);
    }
}

// === impl Problems ===

impl Problems {
    /// Takes a complaint in, unless its path, or a part of it, is told already.
    fn complain(&mut self, complaint: crate::setting::Complaint, merged: &Merged) {
        if !self.tells_of(&complaint.path) {
            let origin = merged.origin(&complaint.path, At::Value);
            self.value(complaint.path, origin, complaint.sentence);
        }
    }
}
