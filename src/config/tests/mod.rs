//! The configuration as a user meets it: files, variables and flags in, a configuration or the list of mistakes out.

mod consumers;
mod derived;
mod files;
mod layers;
mod mistakes;
mod secrets;

use std::path::PathBuf;

use super::{Environment, Loaded, Problems, load};

/// The smallest whole configuration.
const SMALL: &str = "relays:\n  orders:\n    to: { kafka: { brokers: [\"kafka:9092\"] } }\n";

/// Files in a directory of their own, beside an environment.
struct World {
    dir: tempfile::TempDir,
    files: Vec<PathBuf>,
    env: Vec<(String, String)>,
    flags: Vec<(String, String)>,
}

impl World {
    fn new(yaml: &str) -> Self {
        let world = Self {
            dir: tempfile::tempdir().unwrap(),
            files: Vec::new(),
            env: vec![("DATABASE_URL".into(), "postgres://twinbox@localhost/app".into())],
            flags: Vec::new(),
        };
        world.file("twinbox.yaml", yaml)
    }

    fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        self.files.push(path);
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    fn flag(mut self, path: &str, value: &str) -> Self {
        self.flags.push((path.into(), value.into()));
        self
    }

    fn environment(&self) -> Environment {
        self.env.iter().cloned().collect()
    }

    fn load(&self) -> Result<Loaded, Problems> {
        load(&self.files, &self.environment(), &self.flags)
    }

    fn root(&self) -> super::Root {
        self.load().unwrap_or_else(|problems| panic!("{problems}")).root
    }

    /// The problems as `path | place | sentence`, without the directory.
    fn problems(&self) -> Vec<String> {
        let problems = self.load().map(|_| ()).unwrap_err();
        let dir = format!("{}/", self.dir.path().display());
        let line = |p: &super::Problem| format!("{} | {} | {}", p.path, p.origin, p.sentence).replace(&dir, "");
        problems.list().iter().map(line).collect()
    }

    /// The one problem there is.
    fn problem(&self) -> String {
        let problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems.into_iter().next().unwrap_or_default()
    }

    fn show(&self) -> String {
        super::show(&self.files, &self.environment(), (&self.flags, true))
            .unwrap_or_else(|problems| panic!("{problems}"))
    }
}
