//! What is known of objects and their resources.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{DataType, Lwm2mPath};

/// The objects whose resources have known types.
#[derive(Clone, Debug, Default)]
pub struct ObjectModel {
    resources: HashMap<(u16, u16), DataType>,
    names: HashMap<u16, String>,
}

/// One object and its resources.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// The object's id.
    pub id: u16,
    /// The object's name.
    pub name: String,
    /// Its resources.
    pub resources: Vec<Resource>,
}

/// One resource of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The resource's id.
    pub id: u16,
    /// The resource's name.
    pub name: String,
    /// The type of its value; missing for what can only be executed.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub data_type: Option<DataType>,
    /// What servers may do with it: `R`, `W`, `RW`, `E`, or nothing.
    #[serde(default)]
    pub operations: String,
    /// Whether it may have several instances.
    #[serde(default)]
    pub multiple: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    object: Vec<Object>,
}

const STANDARD: &str = include_str!("../../../protocol-specs/lwm2m/objects.toml");

impl ObjectModel {
    /// The objects of OMA's core (0 to 7) and the sensors and actuators met most often.
    #[allow(clippy::expect_used)] // The table is part of the program, and a test reads it.
    pub fn standard() -> Self {
        let table: Table = toml::from_str(STANDARD).expect("the table of objects is valid");
        let mut model = Self::default();
        table.object.iter().for_each(|object| model.add(object));
        model
    }

    /// Adds an object, or replaces what was known of its resources.
    pub fn add(&mut self, object: &Object) {
        self.names.insert(object.id, object.name.clone());
        let types = object.resources.iter().filter_map(|resource| Some((resource.id, resource.data_type?)));
        self.resources.extend(types.map(|(resource, data_type)| ((object.id, resource), data_type)));
    }

    /// The type of a resource or resource instance.
    pub fn data_type(&self, path: Lwm2mPath) -> Option<DataType> {
        let known = self.resources.get(&(path.object, path.resource()?)).copied();
        // Reusable resources of the IPSO registry mean the same in every object.
        known.or_else(|| self.resources.get(&(REUSABLE, path.resource()?)).copied())
    }

    /// The name of an object.
    pub fn name(&self, object: u16) -> Option<&str> {
        self.names.get(&object).map(String::as_str)
    }
}

/// The object id under which the table has the resources that many objects share; itself never on the wire.
const REUSABLE: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_knows_the_core_objects_and_shared_resources() {
        let model = ObjectModel::standard();
        let data_type = |path: &str| model.data_type(Lwm2mPath::parse(path).unwrap());
        assert_eq!(data_type("/3/0/9"), Some(DataType::Integer));
        assert_eq!(data_type("/3/0/7/1"), Some(DataType::Integer));
        assert_eq!(data_type("/5/0/0"), Some(DataType::Opaque));
        assert_eq!(data_type("/3303/0/5700"), Some(DataType::Float));
        assert_eq!(data_type("/3999/0/5700"), Some(DataType::Float));
        assert_eq!(data_type("/3/0"), None);
        assert_eq!(data_type("/65000/0/1"), None);
        for (object, name) in [(0, "Security"), (3, "Device"), (7, "Connectivity Statistics")] {
            assert_eq!(model.name(object), Some(name));
        }
    }
}
