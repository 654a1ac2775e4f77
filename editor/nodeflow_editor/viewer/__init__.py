"""The viewer: a picture closely looked at, beside another, a 16k one as well."""
