Rails.application.configure do
  config.asset_host = ENV["ASSET_HOST"]
  config.force_ssl = true
end
