"""The exact cache's insides: what makes two calls the same, how a reply is kept, and where."""
