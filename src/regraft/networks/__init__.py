"""The networks: what they are made of, how they are cut, what is frozen in them."""
