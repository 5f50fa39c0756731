"""What keeps the contract: schema files, compatibility, AsyncAPI and the reference, generated from the models."""
