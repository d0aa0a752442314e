//! What Helm and sprig offer beyond Go's own functions.
