//! Enums that a plan writes as one of a fixed set of names.

/// One of a fixed set of names.
pub(super) trait Choice: Copy + 'static {
    /// Every value with its name, as the plan writes it.
    const ALL: &'static [(&'static str, Self)];
}

/// Declares an enum with the name that a plan has for each value: written and read by that name alone.
macro_rules! choice {
    ($(#[$doc:meta])* pub enum $type:ident {
        $($(#[$value_doc:meta])* $value:ident = $name:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $($(#[$value_doc])* $value,)*
        }

        impl $crate::plan::choice::Choice for $type {
            const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$value)),*];
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$value => $name),* })
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

pub(super) use choice;
