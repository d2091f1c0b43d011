//! Rules that the compiler does not know: who may import whom, how long things may be, what may not be called.
//!
//! Every rule reads the sources as tokens (comments and literals taken out), so that prose may name what code
//! may not do. A failure lists every place at once, and says what to do about it.

#[path = "tidy/source.rs"]
mod source;

use std::fmt::Write as _;
use std::path::Path;

use source::{Source, display, functions, masked, read, sources, text_files, tokens};

/// Lines that no source file may exceed, and files that may, each with its reason.
const FILE_LINES_MAX: usize = 800;
const LONG_FILES: &[(&str, &str)] = &[];
/// Implementation lines (unit tests aside) above which a file is named as one to cut.
const FILE_LINES_WANTED: usize = 500;
/// Lines that no function may exceed, and functions that may, each with its reason.
const FUNCTION_LINES_MAX: usize = 80;
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[(
    "src/wire/tests/samples.rs",
    "one_of_each",
    "a table: a packet of every kind",
)];

/// Modules that import nothing of the crate (but `config`, which may use two of them, and names the congestion control and where traces go).
const LEAVES: &[&str] = &["time", "range_set", "config", "limits", "error"];

/// Which top-level modules a top-level module may import beside the leaves (docs/ARCHITECTURE.md, "Layers").
const LAYERS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("stream", &["wire"]),
    ("congestion", &["wire"]),
    ("trace", &["wire"]),
    ("recovery", &["wire", "congestion", "trace"]),
    (
        "connection",
        &["wire", "stream", "congestion", "trace", "recovery"],
    ),
    ("endpoint", &["wire", "stream", "recovery", "connection"]),
    (
        "sim",
        &[
            "wire",
            "stream",
            "trace",
            "recovery",
            "connection",
            "endpoint",
        ],
    ),
    (
        "runtime",
        &[
            "wire",
            "stream",
            "trace",
            "recovery",
            "connection",
            "endpoint",
        ],
    ),
    (
        "net",
        &[
            "wire",
            "stream",
            "recovery",
            "connection",
            "endpoint",
            "runtime",
        ],
    ),
    // The layers see the stream through its face, and the runtime for its clock alone.
    ("layers", &["runtime", "net"]),
];

/// Which of the layers above the stream a layer may import.
const UPPER_LAYERS: &[(&str, &[&str])] = &[
    ("task_clock", &[]),
    ("discovery", &[]),
    ("clock", &[]),
    ("detect", &["task_clock", "clock"]),
    ("msg", &["task_clock", "discovery", "clock", "detect"]),
    (
        "raft",
        &["task_clock", "discovery", "clock", "detect", "msg"],
    ),
    (
        "kv",
        &["task_clock", "discovery", "clock", "detect", "msg", "raft"],
    ),
];

/// Whether `module` may name `imported`; `None` if nobody said what `module` is.
fn may_import(module: &str, imported: &str) -> Option<bool> {
    if module == "config" {
        return Some(["time", "limits", "congestion", "trace"].contains(&imported));
    }
    if LEAVES.contains(&module) {
        return Some(false);
    }
    let (_, below) = LAYERS.iter().find(|(name, _)| *name == module)?;
    Some(LEAVES.contains(&imported) || below.contains(&imported))
}

/// Whether this is a module of the crate's top level, not an item that the crate's root re-exports.
fn is_top_module(name: &str) -> bool {
    LEAVES.contains(&name) || LAYERS.iter().any(|(module, _)| *module == name)
}

/// The modules that see neither clock, socket, thread nor chance: all below the runtime.
const CORE: &[&str] = &[
    "time",
    "range_set",
    "config",
    "limits",
    "error",
    "wire",
    "stream",
    "congestion",
    "trace",
    "recovery",
    "connection",
    "endpoint",
];

/// Parts of the layers that are executed on every node of a cluster, and must do the same there: as strict as the core.
const REPLICATED: &[&str] = &[
    "src/layers/kv/answer.rs",
    "src/layers/kv/command.rs",
    "src/layers/kv/limits.rs",
    "src/layers/kv/session.rs",
    "src/layers/kv/snapshot.rs",
    "src/layers/kv/state.rs",
    "src/layers/kv/state/store.rs",
];

/// The one file that may read a clock.
const CLOCK: &str = "src/runtime/clock.rs";
/// The one that reads tokio's, which a test may stop.
const TASK_CLOCK: &str = "src/layers/task_clock.rs";
/// The one file that may change the width of a number with `as`.
const CASTS: &str = "src/wire/seq.rs";
/// Files of the core that may hold a hash map: they never iterate over it, and they hash with their own key.
const HASH_MAPS: &[&str] = &["src/endpoint/table.rs", "src/endpoint/time_wait.rs"];

// --- the rules --------------------------------------------------------------------------------------------

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut complaints = Complaints::new(
        "a module may import only modules below it (table LAYERS in tests/tidy.rs): pass the value in as \
         an argument, or move the shared type down",
    );
    for source in sources("src") {
        let Some(module) = source.top_module() else {
            continue;
        };
        if may_import(module, "time").is_none() {
            complaints.add(
                &source.name,
                1,
                &format!("module `{module}` has no row in LAYERS"),
            );
        }
        for (line, imported) in source.crate_paths() {
            let is_other = imported != module && is_top_module(&imported);
            if is_other && may_import(module, &imported) == Some(false) {
                let what = format!("`{module}` may not import `{imported}`");
                complaints.add(&source.name, line, &what);
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn layers_import_only_the_layers_below_them() {
    let mut complaints = Complaints::new(
        "a layer above the stream may import only those before it in UPPER_LAYERS of tests/tidy.rs",
    );
    for source in sources("src/layers") {
        let path = source.name.strip_prefix("src/layers/").unwrap_or_default();
        let first = path.split('/').next().unwrap_or_default();
        let layer = first.strip_suffix(".rs").unwrap_or(first);
        let Some((_, below)) = UPPER_LAYERS.iter().find(|(name, _)| *name == layer) else {
            complaints.add(&source.name, 1, &format!("layer `{layer}` has no row"));
            continue;
        };
        let tokens = tokens(&masked(source.implementation()));
        let by_folder = tokens.windows(4).filter(|window| {
            window[0].text == "layers" && window[1].text == ":" && window[2].text == ":"
        });
        let by_folder = by_folder.map(|window| (window[3].line, window[3].text.clone()));
        for (line, imported) in source.crate_paths().into_iter().chain(by_folder) {
            let is_layer = UPPER_LAYERS.iter().any(|(name, _)| *name == imported);
            if is_layer && imported != layer && !below.contains(&imported.as_str()) {
                let what = format!("`{layer}` may not import `{imported}`");
                complaints.add(&source.name, line, &what);
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn no_file_is_longer_than_the_limit() {
    let mut complaints = Complaints::new("cut the file along its ideas; one idea per file");
    for folder in ["src", "tests", "examples", "benches", "fuzz"] {
        for source in sources(folder) {
            let lines = source.text.lines().count();
            let wanted = source.implementation().lines().count();
            if wanted > FILE_LINES_WANTED && folder == "src" {
                println!(
                    "wants cutting: {} has {wanted} lines without its tests",
                    source.name
                );
            }
            let excepted = LONG_FILES.iter().any(|(name, _)| *name == source.name);
            if lines > FILE_LINES_MAX && !excepted {
                complaints.add(
                    &source.name,
                    lines,
                    &format!("{lines} lines, limit {FILE_LINES_MAX}"),
                );
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn no_function_is_longer_than_the_limit() {
    let mut complaints = Complaints::new("branch in the parent, compute in smaller functions");
    for folder in ["src", "tests", "examples", "benches", "fuzz"] {
        for source in sources(folder) {
            for function in functions(&source.tokens()) {
                let excepted = |(file, name, _): &(&str, &str, &str)| {
                    *file == source.name && *name == function.name
                };
                if function.lines > FUNCTION_LINES_MAX && !LONG_FUNCTIONS.iter().any(excepted) {
                    let what = format!(
                        "`{}` has {} lines, limit {FUNCTION_LINES_MAX}",
                        function.name, function.lines
                    );
                    complaints.add(&source.name, function.line, &what);
                }
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn only_one_file_reads_a_clock_and_nobody_sleeps() {
    let mut complaints = Complaints::new(
        "take `now: Time` as an argument (the core), ask runtime/clock.rs (the runtime), and wait for an event \
         instead of sleeping (tests)",
    );
    for source in sources("src")
        .into_iter()
        .filter(|source| source.name != CLOCK && source.name != TASK_CLOCK)
    {
        for (from, what) in [
            ("Instant", "now"),
            ("SystemTime", "now"),
            ("thread", "sleep"),
        ] {
            complaints.add_all(&source, &[from, ":", ":", what]);
        }
    }
    for source in sources("tests") {
        complaints.add_all(&source, &["thread", ":", ":", "sleep"]);
    }
    complaints.assert_none();
}

#[test]
fn there_is_no_unsafe_code() {
    let mut complaints =
        Complaints::new("write it in safe Rust, or use a well-kept crate that wraps it");
    for source in every_source() {
        complaints.add_all(&source, &["unsafe"]);
    }
    let manifest = read(Path::new("Cargo.toml"));
    assert!(
        manifest.contains("unsafe_code = \"forbid\""),
        "Cargo.toml must forbid unsafe_code for all targets"
    );
    complaints.assert_none();
}

#[test]
fn nothing_is_left_undone() {
    let mut complaints = Complaints::new("finish it, or delete it and open an issue");
    for source in every_source() {
        for name in ["todo", "unimplemented", "dbg"] {
            complaints.add_all(&source, &[name, "!"]);
        }
        complaints.add_all(&source, &["#", "[", "ignore"]);
        for (at, line) in source.text.lines().enumerate() {
            let marker = ["TO", "DO"].concat();
            if line.contains(&format!("// {marker}")) && !line.contains('#') {
                complaints.add(
                    &source.name,
                    at + 1,
                    "a note of work to do without an issue number",
                );
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn the_core_does_not_cast_numbers() {
    let mut complaints =
        Complaints::new("use From, TryFrom or the types of src/wire/seq.rs: `as` cuts silently");
    let numbers = [
        "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
        "f32", "f64",
    ];
    for source in core_sources().filter(|source| source.name != CASTS) {
        for number in numbers {
            complaints.add_all(&source, &["as", number]);
        }
    }
    complaints.assert_none();
}

#[test]
fn the_core_has_no_chance_no_threads_and_no_sockets() {
    let mut complaints = Complaints::new(
        "same inputs, same outputs: the core takes its seed, its time and its datagrams as arguments; a hash \
         map that is only looked up in belongs into one of the files of HASH_MAPS",
    );
    for source in core_sources() {
        for name in [
            "UdpSocket",
            "Mutex",
            "RwLock",
            "Condvar",
            "OnceLock",
            "LazyLock",
            "RandomState",
        ] {
            complaints.add_all(&source, &[name]);
        }
        for external in ["mio", "socket2", "quinn_udp", "getrandom", "nix"] {
            complaints.add_all(&source, &[external, ":", ":"]);
        }
        complaints.add_all(&source, &["thread", ":", ":", "spawn"]);
        if !HASH_MAPS.contains(&source.name.as_str()) {
            complaints.add_all(&source, &["HashMap"]);
            complaints.add_all(&source, &["HashSet"]);
        }
    }
    complaints.assert_none();
}

#[test]
fn no_unwrap_stands_outside_tests() {
    let mut complaints =
        Complaints::new("return an error, or `expect(\"why it holds\")` if it cannot fail");
    for mut source in sources("src") {
        source.text = source.implementation().to_owned();
        if !source.is_test() {
            complaints.add_all(&source, &[".", "unwrap", "("]);
        }
    }
    complaints.assert_none();
}

#[test]
fn no_file_names_a_path_of_one_machine() {
    let mut complaints =
        Complaints::new("write a path relative to the repository, or take it as an argument");
    // In pieces, so that this file does not name them either.
    let forbidden = [
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["/tmp", "/wt"],
        ["C:\\", "Users"],
    ];
    for file in text_files() {
        for (at, line) in read(&file).lines().enumerate() {
            if let Some(word) = forbidden
                .iter()
                .map(|parts| parts.concat())
                .find(|word| line.contains(word))
            {
                complaints.add(&display(&file), at + 1, &format!("contains `{word}`"));
            }
        }
    }
    complaints.assert_none();
}

#[test]
fn tests_with_a_main_of_their_own_have_no_harness() {
    let mut complaints = Complaints::new("add a [[test]] with `harness = false` to Cargo.toml");
    let manifest = read(Path::new("Cargo.toml"));
    for source in sources("tests") {
        let name = source.name.trim_start_matches("tests/");
        let name = name.trim_end_matches(".rs").trim_end_matches("/main");
        let entry = format!("[[test]]\nname = \"{name}\"\nharness = false");
        let has_main = source
            .text
            .lines()
            .any(|line| line.starts_with("fn main()"));
        if has_main && !manifest.contains(&entry) {
            complaints.add(
                &source.name,
                1,
                "runs in a harness, which never calls its `main`",
            );
        }
    }
    complaints.assert_none();
}

#[test]
fn the_architecture_names_files_and_tests_that_exist() {
    let mut complaints = Complaints::new("docs/ARCHITECTURE.md must say how it really is");
    let text = read(Path::new("docs/ARCHITECTURE.md"));
    let all: String = ["src", "tests"]
        .into_iter()
        .flat_map(sources)
        .map(|source| source.text)
        .collect();
    let mut tests_seen = 0;
    for (at, line) in text.lines().enumerate() {
        for quoted in line.split('`').skip(1).step_by(2) {
            let is_file = quoted.ends_with(".rs") && !quoted.contains('*');
            let places = [quoted.to_owned(), format!("src/{quoted}")];
            // A row of the map names its folder once.
            let folder = line.split('`').nth(1).unwrap_or_default().rsplit_once('/');
            let sibling = folder.map(|(folder, _)| format!("src/{folder}/{quoted}"));
            let mut candidates = places.iter().chain(&sibling);
            if is_file && !candidates.any(|place| Path::new(place).exists()) {
                complaints.add(
                    "docs/ARCHITECTURE.md",
                    at + 1,
                    &format!("no file `{quoted}`"),
                );
            }
            let name = quoted.rsplit(": ").next().unwrap_or(quoted);
            let (is_prefix, name) = (name.ends_with('…'), name.trim_end_matches('…'));
            let is_test = name.matches('_').count() >= 3 || is_prefix;
            let wanted = format!("fn {name}{}", if is_prefix { "" } else { "(" });
            tests_seen += usize::from(is_test);
            if is_test && !all.contains(&wanted) {
                complaints.add("docs/ARCHITECTURE.md", at + 1, &format!("no test `{name}`"));
            }
        }
    }
    assert!(tests_seen > 20, "the table of limits names its tests");
    complaints.assert_none();
}

#[test]
fn the_rules_see_what_they_are_made_for() {
    let text = "fn a<'x>() { let c = '{'; let s = \"} unsafe\"; /* } /* } */ */ r#\"\"}\"#; }\n// unsafe\nfn b();";
    let tokens = tokens(&masked(text));
    assert!(
        tokens.iter().all(|token| token.text != "unsafe"),
        "comments and literals are not code"
    );
    let found: Vec<_> = functions(&tokens)
        .into_iter()
        .map(|function| function.name)
        .collect();
    assert_eq!(found, ["a"], "a declaration has no body");

    let text =
        "use crate::{error::CloseReason, wire::{Packet, Offset}};\nuse super::super::stream::X;";
    let source = Source {
        name: "src/recovery/loss.rs".into(),
        text: text.into(),
    };
    let imported: Vec<_> = source
        .crate_paths()
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    assert_eq!(imported, ["error", "wire", "stream"]);
}

// --- what the rules stand on ------------------------------------------------------------------------------

/// Places where a rule is broken, and what to do about them.
struct Complaints {
    advice: &'static str,
    places: Vec<String>,
}

impl Complaints {
    fn new(advice: &'static str) -> Self {
        Complaints {
            advice,
            places: Vec::new(),
        }
    }

    fn add(&mut self, file: &str, line: usize, what: &str) {
        self.places.push(format!("{file}:{line}: {what}"));
    }

    /// Every place of `source` where these tokens follow each other.
    fn add_all(&mut self, source: &Source, wanted: &[&str]) {
        for window in source.tokens().windows(wanted.len()) {
            if window
                .iter()
                .map(|token| token.text.as_str())
                .eq(wanted.iter().copied())
            {
                self.add(
                    &source.name,
                    window[0].line,
                    &format!(
                        "contains `{}`",
                        wanted.join(if wanted[0] == "as" { " " } else { "" })
                    ),
                );
            }
        }
    }

    #[track_caller]
    fn assert_none(self) {
        let mut text = String::new();
        for place in &self.places {
            writeln!(text, "  {place}").expect("a String takes everything");
        }
        assert!(
            self.places.is_empty(),
            "\n{text}what to do: {}\n",
            self.advice
        );
    }
}

fn every_source() -> impl Iterator<Item = Source> {
    ["src", "tests", "examples", "benches", "fuzz"]
        .into_iter()
        .flat_map(sources)
}

/// The implementation of the core, and of what must be as strict.
fn core_sources() -> impl Iterator<Item = Source> {
    sources("src").into_iter().filter_map(|mut source| {
        source.text = source.implementation().to_owned();
        let is_core = source
            .top_module()
            .is_some_and(|module| CORE.contains(&module));
        (is_core || REPLICATED.contains(&source.name.as_str())).then_some(source)
    })
}
