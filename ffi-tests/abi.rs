//! The C ABI as text, one line for each thing that a program depends on once it is compiled:
//! functions, constants, types, and where the fields of structs lie. What must not change within a
//! minor version is the difference of two such texts.

use std::collections::BTreeSet;
use std::fmt::Write;

/// A declaration of the header.
#[derive(Debug, PartialEq)]
pub enum Item {
    /// A constant: of the preprocessor, or of an enumeration.
    Constant(String),
    /// Another name for a type.
    Type { name: String, of: String },
    /// A struct with its fields, each a name and the declaration without it.
    Struct { name: String, fields: Vec<[String; 2]> },
    /// A function's name, and its whole prototype.
    Function { name: String, prototype: String },
}

/// Splits a declaration into the name at its end, without an array's length, and the rest.
fn split_name(declaration: &str) -> [String; 2] {
    let declarator = declaration.split('[').next().unwrap_or_default().trim();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let start = declarator.rfind(|c| !is_of_name(c)).map_or(0, |i| i + 1);
    let name = &declarator[start..];
    let of = format!("{}{}", &declarator[..start].trim(), &declaration.trim()[declarator.len()..]);
    [name.to_owned(), of]
}

/// What a header of cbindgen's declares. Versions are left out, since they change.
pub fn items(header: &str) -> Vec<Item> {
    let (mut items, mut code, mut is_comment) = (vec![], String::new(), false);
    // After that come inline functions, which programs compile into themselves.
    let header = header.split("}  // extern").next().unwrap_or_default();
    for line in header.lines() {
        let line = line.split("//").next().unwrap_or_default().trim();
        is_comment |= line.starts_with("/*");
        if is_comment {
            is_comment = !line.ends_with("*/");
        } else if let Some(define) = line.strip_prefix("#define ") {
            // The include guard has no value.
            if let Some((name, _)) = define.split_once(' ')
                && !name.starts_with("VESDE_VERSION_")
            {
                items.push(Item::Constant(name.to_owned()));
            }
        } else if !line.starts_with('#') && line != "extern \"C\" {" && line != "}" {
            write!(code, "{line} ").unwrap();
        }
    }
    let mut rest = code.trim();
    while !rest.is_empty() {
        let (head, body) = match (rest.find('{'), rest.find(';')) {
            (Some(open), Some(end)) if open < end => {
                let close = open + rest[open..].find('}').expect("a brace is closed");
                (&rest[..open], Some((&rest[open + 1..close], close)))
            }
            (_, Some(end)) => (&rest[..end], None),
            (_, None) => panic!("not a declaration: {rest}"),
        };
        let end = body.map_or(0, |(_, close)| close);
        let end = end + rest[end..].find(';').expect("a declaration ends");
        let words: Vec<&str> = head.split_whitespace().collect();
        match (&words[..], body) {
            (["typedef", "enum", _], Some((body, _))) => {
                let names = body.split(',').filter_map(|value| value.split('=').next());
                let names = names.map(str::trim).filter(|name| !name.is_empty());
                items.extend(names.map(|name| Item::Constant(name.to_owned())));
            }
            (["typedef", "struct", name], Some((body, _))) => {
                let fields = body.split(';').map(str::trim).filter(|field| !field.is_empty());
                items.push(Item::Struct {
                    name: (*name).to_owned(),
                    fields: fields.map(split_name).collect(),
                });
            }
            (["typedef", of @ .., name], None) => {
                items.push(Item::Type { name: (*name).to_owned(), of: of.join(" ") });
            }
            (_, None) if head.contains('(') => {
                let prototype = words.join(" ");
                let [name, _] = split_name(prototype.split('(').next().unwrap_or_default());
                items.push(Item::Function { name, prototype });
            }
            _ => panic!("not understood: {}", &rest[..end]),
        }
        rest = rest[end + 1..].trim();
    }
    items
}

/// A C program that prints the lines, in no order. It links only with a library that has every
/// function.
pub fn program(items: &[Item]) -> String {
    let mut code = String::from("#include <stdio.h>\n#include \"vesde.h\"\n\n");
    let mut lines = String::new();
    let mut addresses = String::new();
    for item in items {
        match item {
            Item::Constant(name) => {
                writeln!(lines, "    printf(\"constant {name} = %lld\\n\", (long long){name});").unwrap();
            }
            Item::Type { name, of } => writeln!(lines, "    puts(\"type {name} = {of}\");").unwrap(),
            Item::Struct { name, fields } => {
                writeln!(code, "struct beside_{name} {{ char c; {name} x; }};").unwrap();
                writeln!(
                    lines,
                    "    printf(\"struct {name}: size %d, alignment %d\\n\", (int)sizeof({name}), (int)offsetof(struct beside_{name}, x));"
                )
                .unwrap();
                for [field, of] in fields {
                    writeln!(
                        lines,
                        "    printf(\"struct {name}: {of} {field} at %d\\n\", (int)offsetof({name}, {field}));"
                    )
                    .unwrap();
                }
            }
            Item::Function { name, prototype } => {
                writeln!(lines, "    puts(\"function {prototype}\");").unwrap();
                writeln!(addresses, "    (function){name},").unwrap();
            }
        }
    }
    code + "\ntypedef void (*function)(void);\nstatic const volatile function functions[] = {\n"
        + &addresses
        + "};\n\nint main(void) {\n"
        + &lines
        + "    for (size_t i = 0; i < sizeof functions / sizeof *functions; ++i) {\n"
        + "        if (functions[i] == 0) {\n            return 1;\n        }\n    }\n    return 0;\n}\n"
}

/// The differences to the last release's record that a patch release must not have. No line may go
/// or change, and a new line must be a function, a status, or part of a new struct.
pub fn breaks(recorded: &str, now: &str) -> Vec<String> {
    let [recorded, now]: [BTreeSet<&str>; 2] = [recorded, now].map(|text| text.lines().collect());
    let struct_of = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    let structs: BTreeSet<String> = recorded.iter().map(|line| struct_of(line)).collect();
    let may_come = |line: &str| {
        line.starts_with("function ")
            || line.starts_with("constant VESDE_ERROR_")
            || line.starts_with("struct ") && !structs.contains(&struct_of(line))
    };
    let gone = recorded.difference(&now).map(|line| format!("- {line}"));
    let come = now.difference(&recorded).filter(|line| !may_come(line)).map(|line| format!("+ {line}"));
    gone.chain(come).collect()
}
