//! The JSON Schema of the configuration, from the types of the [`model`](crate::model).

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use crate::model::Config;

/// The JSON Schema (draft 2020-12) of the configuration, for editors and for other checkers.
///
/// It knows words, types, ranges and defaults, but not what is wrong only together; for that there
/// is [`parse`](crate::parse).
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(unwrap_description))
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
}

/// Doc comments are wrapped for the editor of the source; whoever shows them wraps them anew.
fn unwrap_description(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMA=1 cargo test -p vrrp-config` writes the file anew.
    #[test]
    fn the_committed_schema_is_that_of_the_types() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.json");
        let current = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(file, &current).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            committed == current,
            "daemon/config/schema.json is not up to date"
        );
    }
}
