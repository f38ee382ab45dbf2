//! What every payload is made by.

/// Makes a type of each list of fields: a number, a name and a type.
macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $tag:literal $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl $name {
            /// Appends the payload.
            pub fn encode(&self, out: &mut Vec<u8>) {
                $(Field::put(&self.$field, $tag, out);)*
            }

            /// Reads the payload; fields of later versions are skipped.
            ///
            /// # Errors
            /// When it is not a list of fields or one of them has a wrong form.
            pub fn decode(mut payload: &[u8]) -> Result<Self, Malformed> {
                let mut read = Self::default();
                while let Some((tag, bytes)) = fields::next(&mut payload)? {
                    match tag {
                        $($tag => Field::read(&mut read.$field, bytes)?,)*
                        _ => {}
                    }
                }
                Ok(read)
            }
        }

        impl Item for $name {
            fn put_item(&self, tag: u8, out: &mut Vec<u8>) {
                let mut inner = Vec::new();
                self.encode(&mut inner);
                fields::put(tag, &inner, out);
            }

            fn read_item(bytes: &[u8]) -> Result<Self, Malformed> {
                Self::decode(bytes)
            }
        }
    )*};
}

pub(super) use payloads;
