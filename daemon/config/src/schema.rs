//! JSON Schema of the configuration, generated from the types of the [`model`](crate::model).

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::Value;

use crate::model::Config;

/// Returns the JSON Schema (draft 2020-12) of the configuration, for editors and other validators.
///
/// It describes keys, types, ranges and defaults, but not the conflicts between values that
/// [`parse`](crate::parse) finds.
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(unwrap_description))
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
}

/// Joins the lines of a description: doc comments are wrapped for the source, and each program that
/// displays a description wraps it again.
fn unwrap_description(schema: &mut Schema) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMA=1 cargo test -p vrrp-config` regenerates the file.
    #[test]
    fn committed_schema_matches_types() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/schema.json");
        let current = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(file, &current).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            committed == current,
            "daemon/config/schema.json is stale: UPDATE_SCHEMA=1 cargo test -p vrrp-config"
        );
    }
}
