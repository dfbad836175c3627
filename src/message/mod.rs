//! Values: what a message is, without any idea of where it comes from or goes to.
