"""Single sign-on between browser, service and provider, for the API and for the console alike."""
