//! What a verb writes on, and whom it may ask.
//!
//! Promises: data on stdout, words about it on stderr; no box art and no colour where nobody looks; a question is only
//! asked where somebody can answer; a closed pipe ends the verb without a panic.

use std::io::{self, BufRead, IsTerminal, Write};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::Stop;

/// How data is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// One JSON document, stable.
    Json,
}

/// Where a verb writes.
pub struct Console {
    /// Data.
    pub out: Box<dyn Write + Send>,
    /// Words about it.
    pub err: Box<dyn Write + Send>,
    /// Answers to questions; none: nobody is there.
    pub answers: Option<Box<dyn BufRead + Send>>,
    /// How data is written.
    pub output: Output,
    /// Data is read by a person.
    pub terminal: bool,
    /// Words that are no errors are left out.
    pub quiet: bool,
}

// === impl Console ===

impl Console {
    /// The process's own streams.
    #[must_use]
    pub fn of_process(output: Output, quiet: bool) -> Self {
        let asked = io::stdin().is_terminal() && io::stderr().is_terminal();
        Self {
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            answers: asked.then(|| Box::new(io::BufReader::new(io::stdin())) as Box<dyn BufRead + Send>),
            output,
            terminal: io::stdout().is_terminal(),
            quiet,
        }
    }

    /// Whether data is written as JSON.
    #[must_use]
    pub fn json(&self) -> bool {
        self.output == Output::Json
    }

    /// A line of data.
    ///
    /// # Errors
    /// When it cannot be written; so below.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A JSON document.
    pub fn document(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut self.out, document)?;
        writeln!(self.out)
    }

    /// Words about the data.
    pub fn note(&mut self, text: &str) -> io::Result<()> {
        if self.quiet {
            return Ok(());
        }
        writeln!(self.err, "{text}")
    }

    /// A table: lines between rows only where a person looks.
    pub fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let mut table = Table::new();
        table.set_header(header.to_vec());
        if self.terminal {
            table.load_style(presets::UTF8_HORIZONTAL_ONLY);
            table.set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            table.load_style(presets::NOTHING);
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        table.add_rows(rows);
        for line in table.to_string().lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Asks; none when nobody can answer.
    pub fn confirm(&mut self, question: &str) -> io::Result<Option<bool>> {
        let Some(answers) = &mut self.answers else {
            return Ok(None);
        };
        write!(self.err, "{question} [y/N] ")?;
        self.err.flush()?;
        let mut answer = String::new();
        answers.read_line(&mut answer)?;
        Ok(Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")))
    }
}

// === impl Console, for verbs that destroy ===

impl Console {
    /// Warns and asks; goes on only with a yes.
    ///
    /// # Errors
    /// A no, or nobody who could answer (exit 2: say `--yes`).
    pub(super) fn agreed(&mut self, warning: &str, question: &str) -> Result<(), Stop> {
        if !warning.is_empty() {
            writeln!(self.err, "{warning}")?;
        }
        match self.confirm(question)? {
            Some(true) => Ok(()),
            Some(false) => Err(Stop::failure("nothing was changed")),
            None => Err(Stop::usage(
                "nobody can answer here (standard input is no terminal); say --yes to do it",
            )),
        }
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console")
            .field("output", &self.output)
            .field("terminal", &self.terminal)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// A stream that remembers what was written.
    #[derive(Clone, Default)]
    pub(crate) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub(crate) fn text(&self) -> String {
            let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A console with its pages: data and words.
    pub(crate) fn console(output: Output, answer: Option<&'static str>) -> (Console, Page, Page) {
        let (out, err) = (Page::default(), Page::default());
        let console = Console {
            out: Box::new(out.clone()),
            err: Box::new(err.clone()),
            answers: answer.map(|text| Box::new(text.as_bytes()) as Box<dyn BufRead + Send>),
            output,
            terminal: false,
            quiet: false,
        };
        (console, out, err)
    }

    #[test]
    fn a_piped_table_is_plain() {
        let (mut console, out, _) = console(Output::Table, None);
        let rows = [vec!["orders".to_owned(), "leading".to_owned()]];
        console.table(&["relay", "state"], &rows).unwrap();
        assert_eq!(out.text(), " relay   state\n orders  leading\n");
    }

    #[test]
    fn only_yes_is_yes() {
        let ask = |answer| console(Output::Table, answer).0.confirm("sure?").unwrap();
        assert_eq!(ask(None), None);
        assert_eq!(ask(Some("y\n")), Some(true));
        assert_eq!(ask(Some("YES\n")), Some(true));
        for no in ["\n", "", "n\n", "yesterday\n"] {
            assert_eq!(ask(Some(no)), Some(false), "{no:?}");
        }
    }
}
