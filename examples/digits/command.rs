//! The command line: values by their names, files, a bar of progress.

use std::error::Error;
use std::fmt::Debug;
use std::fs::File;
use std::path::Path;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};

use crate::methods::Named;

/// The value that an argument names: in kebab case, as the command line has it.
pub fn one_of<T: Copy + Debug + Send + Sync>(
    values: &'static [T],
) -> impl TypedValueParser<Value = T> + use<T> {
    // clap wants names that stay as long as the program.
    let names = values.iter().map(|value| &*kebab_case(&format!("{value:?}")).leak());
    PossibleValuesParser::new(names).try_map(|name| {
        let mut named = values.iter().copied();
        named.find(|value| kebab_case(&format!("{value:?}")) == name).ok_or("is none of them")
    })
}

/// The sampler of a name.
pub fn named() -> impl TypedValueParser<Value = Named> {
    let find = |name: String| Named::ALL.iter().copied().find(|sampler| sampler.name == name);
    PossibleValuesParser::new(Named::ALL.iter().map(|sampler| sampler.name))
        .try_map(move |name| find(name).ok_or("is none of them"))
}

/// As the command line has it.
pub fn kebab_case(camel_case: &str) -> String {
    let mut name = String::new();
    for letter in camel_case.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// A picture to be made. Its file is there before the work, so that a bad path does not waste it.
pub struct Output<'a> {
    pub path: &'a Path,
    pub file: File,
}

impl<'a> Output<'a> {
    pub fn create(path: &'a Path) -> Result<Self, String> {
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { path, file })
    }
}

/// A bar of progress.
pub fn bar(len: u64, template: &str) -> Result<ProgressBar, Box<dyn Error>> {
    Ok(ProgressBar::new(len).with_style(ProgressStyle::with_template(template)?))
}
