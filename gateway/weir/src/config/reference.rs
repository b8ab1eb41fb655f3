//! The commented reference, made from the schema.

use std::fmt::Write;

use super::model::Config;
use super::schema::{Field, Kind, Table, quoted};

/// The whole configuration as TOML in comments: every field, its default, what it may hold.
pub fn toml() -> String {
    let mut out = String::new();
    for line in Config::TABLE.doc {
        comment(&mut out, line);
    }
    comment(
        &mut out,
        " Every field can also be given as an environment variable: `WEIR_`, then the way in",
    );
    comment(
        &mut out,
        " capitals with `__` between its parts, such as `WEIR_S3__REGION`.",
    );
    out.push('\n');
    table(&mut out, Config::TABLE, "");
    out
}

/// The page `docs/configuration.md`.
pub fn page() -> String {
    let intro = "\
# Configuration

`weir serve --config weir.toml` reads a TOML file and then the environment: `WEIR_S3__REGION=x` \
is `s3.region = \"x\"` (two underscores between the parts; lists are separated by commas). \
Unknown fields are refused. `weir check --config weir.toml` reports every mistake at once, each \
with file, line and what would be right.

Secrets never stand in the configuration itself: `secret_file` names a file, `secret_env` a \
variable of the environment. A listener beyond loopback refuses to start without configured \
credentials, with well-known ones, or with secret files that everybody can read.

`credentials` are read again while the gateway runs, whenever the file or a secret's file \
changes, and on SIGHUP; so are certificate files and policy components. A broken file leaves \
what was in force in force, and the reason stands in the log and on the status page. Everything \
else takes a restart.

What follows is the output of `weir config reference`. Commented fields show their default, or \
an example where there is none.

```toml
";
    format!("{intro}{}```\n", toml())
}

fn comment(out: &mut String, line: &str) {
    let line = line.strip_prefix(' ').unwrap_or(line);
    out.push_str(if line.is_empty() { "#" } else { "# " });
    out.push_str(line);
    out.push('\n');
}

/// Plain fields first, as TOML wants it, then tables.
fn table(out: &mut String, table: &Table, way: &str) {
    for field in table.fields.iter().filter(|field| !is_table(&field.kind)) {
        plain(out, field);
    }
    for field in table.fields.iter().filter(|field| is_table(&field.kind)) {
        nested(out, field, way);
    }
}

fn is_table(kind: &Kind) -> bool {
    matches!(kind, Kind::Table(_) | Kind::Map(..) | Kind::Tables(_))
}

fn plain(out: &mut String, field: &Field) {
    for line in field.doc {
        comment(out, line);
    }
    if let Some(range) = range(&field.kind) {
        comment(out, &range);
    }
    let default = (field.default)();
    let shown = match (&default, field.example) {
        (Some(default), _) => default.clone(),
        (None, "") => "\"\"".to_owned(),
        (None, example) => example.to_owned(),
    };
    let note = if default.is_none() {
        "  # no default"
    } else {
        ""
    };
    let _infallible = writeln!(out, "#{} = {shown}{note}\n", field.name);
}

/// What a value may be, where the field's name does not tell.
fn range(kind: &Kind) -> Option<String> {
    match kind {
        Kind::Choice(words) => Some(format!("One of {}.", quoted(words))),
        Kind::List(of) => range(of),
        Kind::Integer(min, max) if *max != u64::MAX => Some(format!("From {min} to {max}.")),
        _ => None,
    }
}

fn nested(out: &mut String, field: &Field, way: &str) {
    let dot = if way.is_empty() { "" } else { "." };
    let name = field.name;
    let (header, inner) = match field.kind {
        Kind::Table(inner) => (format!("[{way}{dot}{name}]"), inner),
        Kind::Map(inner, _) => (format!("[{way}{dot}{name}.{}]", field.example), inner),
        Kind::Tables(inner) => (format!("[[{way}{dot}{name}]]"), inner),
        _ => return,
    };
    for line in field.doc {
        comment(out, line);
    }
    // Tables that stand for any number of others are only an example.
    let mark = if matches!(field.kind, Kind::Table(_)) && !way.contains('.') {
        ""
    } else {
        "#"
    };
    let _infallible = writeln!(out, "{mark}{header}\n");
    let inner_way = header.trim_matches(['[', ']']).to_owned();
    table(out, inner, &inner_way);
}
