$TTL 86400
@     SOA ns1 dns-admin (
        1      ; serial
        7200   ; refresh
        30M    ; retry
        3D     ; expire
        900    ; ncache
)
      NS  ns1.example.com.
      NS  ns2.example.com.
ns1   A   192.0.2.53
ns2   A   192.0.2.54
      AAAA 2001:db8::54
@     MX  10 mail
mail  300 A 192.0.2.99
www      600/60 DYNA geoip!prod_www
www2     600    DYNA geoip!prod_www ; the same resource
www-de   60 DYNA geoip!prod_www/de
content  600 DYNC geoip!cdn
app      7200 DYNC metafo!app
gone     60 DYNA simplefo!nothing
text  TXT "semi;colon" "second"
$ORIGIN sub.example.com.
deep  60 DYNA geoip!prod_www
