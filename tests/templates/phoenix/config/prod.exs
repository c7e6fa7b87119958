import Config

config :hello, HelloWeb.Endpoint, url: [host: System.get_env("PHX_HOST"), scheme: "https"]
