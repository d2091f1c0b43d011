//! Plays every script under tests/scripts against one endpoint. `AQUEDUCT_SCRIPT=H01` plays those with that name
//! and prints all their packets.

use std::path::{Path, PathBuf};

use aqueduct::sim::script;

/// All scripts, sorted.
fn scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).expect("the folder of the scripts");
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            scripts(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            found.push(path);
        }
    }
    found.sort();
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

#[test]
fn every_script_passes() {
    let mut all = Vec::new();
    scripts(&folder(), &mut all);
    let wanted = std::env::var("AQUEDUCT_SCRIPT").unwrap_or_default();
    let (mut failed, mut played, mut packets) = (0, 0, 0);
    for path in all
        .iter()
        .filter(|path| path.to_string_lossy().contains(&wanted))
    {
        let text = std::fs::read_to_string(path).expect("a readable script");
        played += 1;
        match script::run(&text) {
            Ok(report) => packets += report.injected + report.emitted,
            Err(failure) => {
                failed += 1;
                println!("{}: {failure}", path.display());
            }
        }
    }
    println!("{played} scripts, {packets} packets, {failed} failed");
    assert!(played > 0, "no script is called {wanted}");
    assert_eq!(failed, 0, "some scripts failed");
}

/// Whether a name such as `close::linger_resets` is that of a test in tests/sim.
fn is_test(name: &str) -> bool {
    let Some((module, test)) = name.split_once("::") else {
        return false;
    };
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim");
    let source = std::fs::read_to_string(sources.join(format!("{module}.rs"))).unwrap_or_default();
    source.contains(&format!("#[test]\nfn {test}() {{"))
}

#[test]
fn names_of_tests_are_told_from_names_of_none() {
    assert!(is_test(
        "masks::every_mixture_of_lost_and_doubled_comes_through"
    ));
    assert!(!is_test("masks::every_mask") && !is_test("nowhere::at_all") && !is_test("masks"));
}

/// Both pages name only tests that exist.
#[test]
fn every_test_that_is_named_exists() {
    let mut named = 0;
    for page in ["README.md", "OPEN.md"] {
        let text = std::fs::read_to_string(folder().join(page)).expect("a page");
        let rows = text.lines().filter(|line| line.starts_with("| "));
        let quoted = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
        for name in quoted.filter(|name| name.contains("::")) {
            assert!(is_test(name), "{page}: {name} does not exist");
            named += 1;
        }
    }
    assert!(named > 40, "only {named} names were found");
}

/// The index names every script, and only scripts that exist.
#[test]
fn the_index_is_complete() {
    let mut all = Vec::new();
    scripts(&folder(), &mut all);
    let index = std::fs::read_to_string(folder().join("README.md")).expect("the index");
    for path in &all {
        let name = path
            .file_stem()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        assert!(
            index.contains(&format!("`{name}`")),
            "{name} is not in tests/scripts/README.md"
        );
    }
    let names: Vec<_> = all.iter().filter_map(|path| path.file_stem()).collect();
    let rows = index
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("script"));
    for row in rows.filter(|row| !row.starts_with("| id")) {
        let named = row.split('`').skip(1).step_by(2);
        for script in named.filter(|name| !name.contains("::")) {
            assert!(
                names.iter().any(|name| *name == script),
                "{script} does not exist"
            );
        }
    }
}
