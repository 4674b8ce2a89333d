"""The pages that Flask serves: the list of routes and the OpenAPI document."""
